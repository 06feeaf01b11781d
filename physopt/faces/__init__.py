"""Faces: where a host library and physopt meet, one module per library. Only here may a domain and a rule be joined."""
