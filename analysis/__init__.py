"""Questions about IR that several passes ask: storage of a value, live ranges, overlaps. Changes nothing."""
