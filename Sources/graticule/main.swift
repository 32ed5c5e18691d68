print("graticule")
