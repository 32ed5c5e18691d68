"""read_map.py MAP IMAGE FINE: what rasterio, rio-cogeo, rio-tiler and gdalinfo read of a map."""
import json, shutil, subprocess, sys
import numpy as np, rasterio
from rasterio.warp import transform as warp
from rio_cogeo.cogeo import cog_validate
from rio_tiler.io import Reader

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

# rio-tiler: a part and a point, given in degrees.
with rasterio.open(path) as made, Reader(path) as reader:
    for row, column in [(3, 5), (100, 77), (200, 250)]:
        (longitude,), (latitude,) = warp(made.crs, "EPSG:4326", *[[v] for v in made.xy(row, column)])
        assert int(reader.point(longitude, latitude).data[0]) == values[row, column]
    part = reader.read()
    assert (part.data[0] == values).all() and (part.mask == 255).all()
    assert reader.info().colormap[2][:3] == (0x2B, 0x7A, 0x3D)

if shutil.which("gdalinfo"):
    about = json.loads(subprocess.run(["gdalinfo", "-json", path], check=True, capture_output=True, text=True).stdout)
    band = about["bands"][0]
    assert about["size"] == [256, 256] and about["coordinateSystem"]["wkt"].startswith("PROJCRS[\"NAD83 / UTM zone 17N")
    assert about["geoTransform"] == list(rasterio.open(image).transform.to_gdal())
    assert band["noDataValue"] == 0 and band["colorInterpretation"] == "Palette"
    assert band["colorTable"]["entries"][4][:3] == [0xA9, 0xA3, 0xA0]
    assert band["categories"][:5] == ["", "water", "forest", "field", "impervious"]
