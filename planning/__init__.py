"""Planners: what decides, on plain data, and writes its decisions nowhere but into results that passes carry out."""
