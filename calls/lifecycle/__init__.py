"""WHERE is this call? Facts are stored as bytes, folded by a pure function, and the row follows."""
