"""Rules: what turns an evaluation into a move, hand-written or learned. One module per rule."""
