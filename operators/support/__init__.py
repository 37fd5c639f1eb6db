"""What operators share: the record, rules, arithmetic, and the builders of the levels that they are lowered to."""
