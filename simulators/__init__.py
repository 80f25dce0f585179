"""Strangers: the other end of the wire. Import neither gateway nor drivers, read no profile."""
