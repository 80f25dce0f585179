"""Units of mass as balances print them; case counts: `g` is gram, `GN` grain, and neither is the other."""

MASS = {
    "g": "g", "kg": "kg", "mg": "mg", "ug": "ug", "µg": "ug", "mcg": "ug", "t": "t", "G": "g", "KG": "kg",
    "GN": "[gr]", "gn": "[gr]", "grn": "[gr]", "grain": "[gr]", "gr": "[gr]", "ct": "[car_m]", "c": "[car_m]",
    "lb": "[lb_av]", "oz": "[oz_av]", "ozt": "[oz_tr]", "tr.oz": "[oz_tr]", "dwt": "[pwt_tr]",
}  # fmt: skip
