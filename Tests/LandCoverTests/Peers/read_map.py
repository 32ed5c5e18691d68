"""read_map.py MAP IMAGE FINE: what rasterio and rio-cogeo read of a map."""
import sys
import numpy as np, rasterio
from rio_cogeo.cogeo import cog_validate

path, image, fine = sys.argv[1:4]
with rasterio.open(path) as made, rasterio.open(image) as source, rasterio.open(fine) as truth:
    assert made.crs == source.crs == rasterio.crs.CRS.from_epsg(26917), made.crs
    assert made.transform == source.transform and made.shape == source.shape
    assert made.count == 1 and made.dtypes == ("uint8",) and made.nodata == 0
    assert made.colormap(1)[1][:3] == (0x1F, 0x6F, 0xB2) and made.colormap(1)[4][:3] == (0xA9, 0xA3, 0xA0)
    values, wanted = made.read(1), truth.read(1)
    assert set(np.unique(values)) <= {1, 2, 3, 4}
    # A place on the ground is the pixel that it lies in, in both.
    for row, column in [(0, 0), (17, 200), (255, 255)]:
        x, y = made.xy(row, column)
        assert next(made.sample([(x, y)]))[0] == values[row, column]
        assert next(truth.sample([(x, y)]))[0] == wanted[row, column]
    print("agreement", (values == wanted).mean())
valid, errors, warnings = cog_validate(path, strict=True)
assert valid, (errors, warnings)
with open(path + ".aux.xml") as names:
    text = names.read()
    assert all(name in text for name in ("water", "forest", "field", "impervious"))
