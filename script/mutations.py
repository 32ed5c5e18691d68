"""Broken inputs for script/stress fuzz: random bytes, and changes that know the format and so get past its first check.

Each `break_…` writes a file and says what it changed. All take what they choose from the generator that they are given: the same
generator breaks a file the same way.
"""
import gzip, json, os, re, sqlite3, struct, zlib

NUMBERS = [0, 1, 2, 3, 7, 15, 16, 17, 63, 255, 256, 65535, 65537, 1 << 20, 1 << 24, 10**6, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
           1 << 40, (1 << 63) - 1, (1 << 64) - 1]
# What a table's number may turn into.
FIELDS = ["nan", "inf", "-inf", "1e308", "1e999", "-1", "-0", "99999999999999999999", "0x10", "1,5", "", " ", "NULL", "é", "١"]
HOLE = 3 << 30


def save(file, data):
    with open(file, "wb") as f:
        f.write(data)


# ---- bytes

def break_bytes(file, data, rng):
    data = bytearray(data)
    kind = rng.choice(["flip", "flip", "cut", "header", "zeros", "grow", "swap"])
    if kind == "flip":
        for _ in range(rng.choice([1, 3, 30, 300])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[rng.randrange(len(data)):]
    elif kind == "header":
        # Absurd numbers where headers and TIFF directories keep their own.
        place = rng.randrange(min(len(data), 4096)) if rng.random() < 0.5 else rng.randrange(len(data))
        data[place:place + 4] = struct.pack("<I", rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 24, 65537]))
    elif kind == "zeros":
        place = rng.randrange(len(data))
        data[place:place + rng.choice([1, 16, 1000])] = bytes(rng.choice([1, 16, 1000]))
    elif kind == "grow":
        place = rng.randrange(len(data))
        data[place:place] = bytes(rng.randrange(256) for _ in range(rng.choice([1, 100])))
    else:
        a, b = rng.randrange(len(data)), rng.randrange(len(data))
        data[a:a + 50], data[b:b + 50] = data[b:b + 50], data[a:a + 50]
    save(file, data)
    return f"bytes: {kind}"


def add_hole(file, data):
    """A file that is large and costs nothing: who reads it whole shows in its memory."""
    save(file, data)
    os.truncate(file, HOLE)
    return "3 GiB of zeros follow"


# ---- TIFF

TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# Width, height, bits, compression, colours, strips, samples, resolution, planes, tiles, tables.
TIFF_TAGS = [256, 257, 258, 259, 262, 273, 277, 278, 279, 282, 283, 284, 322, 323, 324, 325, 339, 347, 530]


def tiff_directories(data):
    """(number format, [(tag, type, count, place of the entry, place of the values)], place of the next pointer), directory by
    directory; of classic TIFF and BigTIFF."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = struct.unpack_from(order + "H", data, 2)[0] == 43
    offset, count, size = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    width, pointer = struct.calcsize(order + offset), 8 if is_big else 4
    found, at = [], struct.unpack_from(order + offset, data, pointer)[0]
    while at and len(found) < 64:
        number = struct.unpack_from(order + count, data, at)[0]
        first = at + struct.calcsize(order + count)
        entries = []
        for i in range(number):
            place = first + i * size
            tag, type_, values = struct.unpack_from(order + "HH" + offset, data, place)
            inline = place + 4 + width
            long = TIFF_SIZES.get(type_, 1) * values > width
            entries.append((tag, type_, values, place, struct.unpack_from(order + offset, data, inline)[0] if long else inline))
        found.append((order + offset, at, entries, first + number * size))
        at = struct.unpack_from(order + offset, data, first + number * size)[0]
    return found


def put(data, place, format_, number):
    bits = 8 * struct.calcsize(format_)
    struct.pack_into(format_, data, place, number & ((1 << bits) - 1))


def break_tiff_once(data, directories, rng):
    offset, at, entries, next_at = rng.choice(directories)
    order, width = offset[0], struct.calcsize(offset)
    wanted = [e for e in entries if e[0] in TIFF_TAGS] or entries
    tag, type_, count, place, values = rng.choice(wanted)
    kind = rng.choice(["value"] * 6 + ["type", "count", "pointer", "next", "entries", "tag", "description"])
    name = f"directory at {at} tag {tag}"
    if kind == "value":
        size, index, number = TIFF_SIZES.get(type_, 1), rng.randrange(max(1, count)), rng.choice(NUMBERS)
        if type_ in (5, 10):
            size, index = 4, rng.randrange(2)
        put(data, values + size * index, order + {1: "B", 2: "H", 4: "I", 8: "Q"}[size], number)
        return f"{name} value {index} = {number}"
    if kind == "type":
        number = rng.choice([0, 1, 2, 3, 4, 5, 7, 11, 12, 13, 16, 255])
        put(data, place + 2, order + "H", number)
    elif kind == "count":
        number = rng.choice(NUMBERS)
        put(data, place + 4, offset, number)
    elif kind == "pointer":
        number = rng.choice([0, 1, at, len(data) - 1, len(data) + 100, 0xFFFFFFF0])
        put(data, place + 4 + width, offset, number)
    elif kind == "next":
        number = rng.choice([at, directories[0][1], directories[-1][1], 1, 4, len(data) - 3, 0xFFFFFFFF])
        put(data, next_at, offset, number)
    elif kind == "entries":
        number = rng.choice([0, 1, len(entries) + 1, 0x7FFF, 0xFFFF])
        put(data, at, order + ("Q" if width == 8 else "H"), number)
    elif kind == "tag":
        number = rng.choice(TIFF_TAGS + [0, 65535])
        put(data, place, order + "H", number)
    else:
        return break_tiff_text(data, rng)
    return f"{name} {kind} = {number}"


def break_tiff_text(data, rng):
    """Numbers of the image description, which slides give their scale in; its length stays."""
    numbers = [m for m in re.finditer(rb"(?<=MPP = )[0-9.]+|(?<=AppMag = )[0-9.]+|(?<=PhysicalSizeX=\")[0-9.]+|\d+(?=x\d)", bytes(data))]
    if not numbers:
        return "nothing"
    found = rng.choice(numbers)
    text = rng.choice([b"0", b"-1", b"nan", b"inf", b"1e9", b"1e-9", b"9" * 20, b"."])[: len(found.group())]
    data[found.start():found.end()] = text.ljust(len(found.group()))
    return f"description {found.group().decode()} → {text.decode()}"


def break_tiff(file, data, rng):
    directories, data = tiff_directories(data), bytearray(data)
    said = [break_tiff_once(data, directories, rng) for _ in range(rng.choice([1, 1, 1, 2, 4]))]
    save(file, data)
    return "TIFF: " + "; ".join(said)


# ---- safetensors

def break_safetensors(file, data, rng):
    length = struct.unpack_from("<Q", data)[0]
    header, body = json.loads(data[8:8 + length]), data[8 + length:]
    kind = rng.choice(["length", "dtype", "shape", "offsets", "rename", "delete", "twice", "metadata", "large", "deep", "json", "hole"])
    names = sorted(n for n in header if n != "__metadata__")
    name, other = rng.choice(names), rng.choice(names)
    said, text = name, None
    if kind == "hole":
        return "safetensors: " + add_hole(file, data)
    if kind == "length":
        said = rng.choice([0, 1, 2, length - 1, length + 1, len(data), len(data) - 8, 1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
        save(file, struct.pack("<Q", said) + data[8:])
        return f"safetensors: length = {said}"
    if kind == "dtype":
        header[name]["dtype"] = said = rng.choice(["F64", "F16", "BF16", "I64", "BOOL", "U8", "F8_E4M3", "X", "", None, 5, ["F32"]])
    elif kind == "shape":
        header[name]["shape"] = said = rng.choice([[], [0], [-1], [-1, -4], [1 << 31, 1 << 31], [1 << 62, 4], [(1 << 63) - 1, 2], ["3"],
                                                   [1.5], None, [1] * 70, header[name]["shape"][::-1], header[name]["shape"] + [2]])
    elif kind == "offsets":
        header[name]["data_offsets"] = said = rng.choice([
            [0, (1 << 63) - 1], [5, 1], [-1, 4], ["0", 4], [], [0], [0, 4, 8], None, [1 << 63, (1 << 63) + 64], [0, 1e300],
            [len(body), len(body) + 64], [1, 1 + header[name]["data_offsets"][1] - header[name]["data_offsets"][0]],
            header[other]["data_offsets"]])
    elif kind == "rename":
        header[name + "\0" if rng.random() < 0.3 else rng.choice(["x", "", "weight", name.upper()])] = header.pop(name)
    elif kind == "delete":
        said = rng.choice([name, f"{name}.dtype", f"{name}.shape", f"{name}.data_offsets", "all"])
        if said == "all":
            header = {}
        elif said == name:
            del header[name]
        else:
            del header[name][said.rsplit(".", 1)[1]]
    elif kind == "twice":
        text = json.dumps(header)[:-1] + "," + json.dumps(name) + ":" + json.dumps(header[other]) + "}"
    elif kind == "metadata":
        header["__metadata__"] = said = rng.choice([None, [], 5, {"format": 5}, {"x": {"y": "z"}}, {"x": "y" * 10**6}])
        said = str(said)[:40]
    elif kind == "large":
        # A length that is true, and a header that is JSON: blanks may follow it.
        text = json.dumps(header).encode()
        save(file, struct.pack("<Q", len(text) + (300 << 20)) + text)
        with open(file, "ab") as f:
            for _ in range(300):
                f.write(b" " * (1 << 20))
            f.write(body)
        return "safetensors: header of 300 MiB"
    elif kind == "deep":
        text = '{"x":' + "[" * 200_000 + "]" * 200_000 + "}"
    else:
        text = rng.choice(["", "[]", "null", "{", "nan", json.dumps(header)[:-1], json.dumps(header) + "x"])
    text = (json.dumps(header) if text is None else text).encode()
    save(file, struct.pack("<Q", len(text)) + text + body)
    return f"safetensors: {kind} {str(said)[:80]}"


# ---- JSON

# Placeholders for what json.dumps cannot write.
RAW = {"@deep": "[" * 100_000 + "]" * 100_000, "@objects": '{"a":' * 50_000 + "1" + "}" * 50_000, "@1e999": "1e999", "@nan": "NaN",
       "@digits": "9" * 400, "@surrogate": '"\\ud800"', "@nul": '"\\u0000"'}
VALUES = [None, True, "x", "", 5, 0, -1, -1.5, 1e308, -1e308, 1e-320, 1 << 31, 1 << 53, 1 << 63, [], {}, [[]], [None], {"a": 1}, "1",
          "x" * 3_000_000, *RAW]


def json_places(value, path=()):
    """Every place in a document as (container, key, path)."""
    for key in (sorted(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()):
        yield value, key, (*path, key)
        yield from json_places(value[key], (*path, key))


def break_json(file, data, rng):
    whole = json.loads(data)
    kind = rng.choice(["value"] * 6 + ["delete", "delete", "empty", "repeat", "hole", "end"])
    if kind == "hole":
        return "JSON: " + add_hole(file, data)
    if kind == "end":
        text = rng.choice(["", "null", "[]", "5", "{", "[" * 100_000, data.decode() + "}", "\ufeff" + data.decode()])
        save(file, text.encode())
        return f"JSON: all of it = {text[:20]!r}"
    # Shallow places as often as the many deep ones.
    places = list(json_places(whole))
    depth = rng.choice(sorted({len(path) for _, _, path in places}))
    container, key, path = rng.choice([p for p in places if len(p[2]) == depth])
    said = ""
    if kind == "delete":
        del container[key]
    elif kind == "empty":
        container[key] = [] if isinstance(container[key], list) else {} if isinstance(container[key], dict) else ""
    elif kind == "repeat":
        container[key] = [container[key]] * 100_000 if not isinstance(container[key], list) else container[key] * 3000
        if len(json.dumps(container[key])) > 30 << 20:
            container[key] = [container[key][0]] * 1000
    else:
        said = container[key] = rng.choice(VALUES)
    text = json.dumps(whole)
    for name, raw in RAW.items():
        text = text.replace(json.dumps(name), raw)
    save(file, text.encode())
    return f"JSON: {kind} {'.'.join(map(str, path))} {str(said)[:30]}"


# ---- PNG

def png_chunks(data):
    at, found = 8, []
    while at + 8 <= len(data):
        length = struct.unpack_from(">I", data, at)[0]
        found.append((data[at + 4:at + 8], data[at + 8:at + 8 + length]))
        at += 12 + length
    return found


def png(chunks):
    parts = [struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def zeros_packed(count):
    """`count` zeros as a zlib stream, made piece by piece."""
    packer, piece = zlib.compressobj(9), bytes(1 << 20)
    parts = [packer.compress(piece) for _ in range(count >> 20)]
    return b"".join(parts) + packer.compress(bytes(count & ((1 << 20) - 1))) + packer.flush()


def empty_png(width, height, bits, color):
    """A sound PNG of zeros of any size."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    row = 1 + (width * bits * samples + 7) // 8
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))]
    if color == 3:
        chunks.append((b"PLTE", bytes(range(0, 3))))
    return png(chunks + [(b"IDAT", zeros_packed(row * height)), (b"IEND", b"")])


def break_png(file, data, rng):
    chunks = png_chunks(data)
    head = bytearray(chunks[0][1])
    kind = rng.choice(["side", "side", "side", "bits", "color", "interlaced", "16 bits", "gAMA", "tRNS", "PLTE", "cut", "no data",
                       "large", "large", "text bomb", "order"])
    said = ""
    if kind == "side":
        said = (rng.choice(["width", "height", "both"]), rng.choice([0, 1, 3, 1 << 16, 10**6, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000]))
        for place in {"width": (0,), "height": (4,), "both": (0, 4)}[said[0]]:
            struct.pack_into(">I", head, place, said[1])
    elif kind == "bits":
        head[8] = said = rng.choice([0, 1, 2, 4, 16, 32, 255])
    elif kind == "color":
        head[9] = said = rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 255])
    elif kind == "interlaced":
        head[12] = said = rng.choice([1, 2, 255])
    elif kind in ("16 bits", "large"):
        width, height = struct.unpack_from(">II", head)
        if kind == "large":
            # Sound all through: only its size is wrong. Unpacked it is 0.4 to 4 GB, packed a thousandth.
            width, height = rng.choice([(20_000, 20_000), (60_000, 60_000), (1, 20_000_000), (20_000_000, 1)])
        color = rng.choice([0, 2, 4, 6])
        if kind == "large" and width * height > 10**9:
            color = 0
        said = f"{width}×{height}, colour type {color}"
        save(file, empty_png(width, height, 16 if kind == "16 bits" else 8, color))
        return f"PNG: {kind}, {said}"
    chunks[0] = (b"IHDR", bytes(head))
    if kind == "gAMA":
        said = rng.choice([0, 1, 45455, 100000, 0x7FFFFFFF, 0xFFFFFFFF])
        chunks.insert(1, (b"gAMA", struct.pack(">I", said)))
    elif kind == "tRNS":
        said = rng.choice([0, 2, 6, 256, 5000])
        chunks.insert(1, (b"tRNS", bytes(said)))
    elif kind == "PLTE":
        said = rng.choice([0, 1, 3, 768, 3000])
        chunks.insert(1, (b"PLTE", bytes(said)))
    elif kind == "cut":
        index = [i for i, c in enumerate(chunks) if c[0] == b"IDAT"][0]
        said = rng.randrange(len(chunks[index][1]))
        chunks[index:] = [(b"IDAT", chunks[index][1][:said])] + ([(b"IEND", b"")] if rng.random() < 0.5 else [])
    elif kind == "no data":
        chunks = [c for c in chunks if c[0] != b"IDAT"]
    elif kind == "text bomb":
        name = rng.choice([b"zTXt", b"iCCP"])
        said = name.decode()
        chunks.insert(1, (name, b"x\0\0" + zeros_packed(900 << 20)))
    elif kind == "order":
        rng.shuffle(chunks)
    save(file, png(chunks))
    return f"PNG: {kind} {said}"


# ---- tables

def break_table(file, data, rng):
    lines = data.decode().split("\n")
    comma = "," if "," in lines[0] else " "
    kind = rng.choice(["long field", "many columns", "many rows", "quote", "quote", "NUL", "UTF-16", "field", "field", "field", "header",
                       "header", "hole", "ends", "empty"])
    at = rng.randrange(len(lines) - 1) if len(lines) > 1 else 0
    fields, said = lines[at].split(comma), ""
    column = rng.randrange(len(fields))
    if kind == "hole":
        return "table: " + add_hole(file, data)
    if kind == "long field":
        fields[column] = "7" * (20 << 20)
    elif kind == "many columns":
        fields += ["1"] * 100_000
        lines[0] += comma + comma.join(f"c{i}" for i in range(100_000)) if rng.random() < 0.5 else ""
    elif kind == "many rows":
        rows = "\n".join(lines[1:]).strip() + "\n"
        # Rows that name pictures are work, and may take as long as there are pictures.
        size = 1 << 18 if ".png" in rows else 80 << 20
        with open(file, "w") as f:
            f.write(lines[0] + "\n")
            for _ in range(size // len(rows)):
                f.write(rows)
        return f"table: its rows again and again, {size / (1 << 20):g} MiB"
    elif kind == "quote":
        fields[column] = said = rng.choice(['"', '"' + fields[column], fields[column] + '"', '""' + fields[column], f'"{fields[column]}"x', '"a\nb'])
    elif kind == "NUL":
        fields[column] += "\0" * rng.choice([1, 1000])
    elif kind == "field":
        fields[column] = said = rng.choice(FIELDS)
    elif kind == "header":
        at, fields = 0, lines[0].split(comma)
        column = rng.randrange(len(fields))
        said = rng.choice(["twice", "missing", "renamed", "none"])
        fields[column:column + 1] = {"twice": [fields[column]] * 2, "missing": [], "renamed": ["x"], "none": [""]}[said]
    lines[at] = comma.join(fields)
    text = "\n".join(lines)
    if kind == "ends":
        text = text.replace("\n", rng.choice(["\r", "\r\n", "\n\n", "\u2028", "\x0b"]))
    elif kind == "empty":
        text = rng.choice(["", "\n", lines[0], "\n" * 100_000, comma * 1000])
    save(file, text.encode(rng.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32"])) if kind == "UTF-16" else text.encode())
    return f"table: {kind} {said!r} line {at + 1}"


# ---- SQLite

def break_pages(file, data, rng):
    data = bytearray(data)
    size = struct.unpack_from(">H", data, 16)[0]
    said = []
    for _ in range(rng.choice([1, 1, 3, 10])):
        page = rng.randrange(len(data) // size)
        at = page * size + (100 if page == 0 else 0)
        cells = struct.unpack_from(">H", data, at + 3)[0]
        pointers = at + (12 if data[at] in (2, 5) else 8)
        kind = rng.choice(["type", "freeblock", "cells", "content", "right", "pointer", "pointer", "pointer", "cell", "cell", "file"])
        number = rng.choice([0, 1, 2, 5, 10, 13, 255, 0x7FFF, 0xFFFF, size - 1, size])
        if kind == "file":
            # Page size, versions, pages, freelist, cookie, format, cache, encoding, version, application.
            at = rng.choice([16, 18, 19, 20, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68])
            struct.pack_into(">I", data, at, rng.choice(NUMBERS) & 0xFFFFFFFF)
            said.append(f"file header {at}")
            continue
        if kind == "type":
            data[at] = number & 255
        elif kind == "freeblock":
            struct.pack_into(">H", data, at + 1, number)
        elif kind == "cells":
            struct.pack_into(">H", data, at + 3, number)
        elif kind == "content":
            struct.pack_into(">H", data, at + 5, number)
        elif kind == "right":
            struct.pack_into(">I", data, at + 8, rng.choice([0, 1, page + 1, len(data) // size, 0x7FFFFFFF]))
        elif cells and pointers + 2 * cells <= len(data):
            place = pointers + 2 * rng.randrange(min(cells, (size - 12) // 2))
            if kind == "pointer":
                struct.pack_into(">H", data, place, number)
            else:
                # The head of a cell: lengths and row numbers as varints, or a child's page.
                cell = page * size + struct.unpack_from(">H", data, place)[0]
                for i in range(rng.choice([1, 3, 9])):
                    if cell + i < len(data):
                        data[cell + i] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        said.append(f"page {page + 1} {kind}")
    save(file, data)
    return "SQLite pages: " + "; ".join(said)


def break_values(file, data, rng):
    """Values of rows that stay rows: whatever the columns are, they are taken from the file."""
    save(file, data)
    db = sqlite3.connect(file, isolation_level=None)
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("PRAGMA ignore_check_constraints = ON")
    said = []
    for _ in range(100):
        if len(said) == 1 and rng.random() < 0.6 or len(said) == 4:
            break
        table = rng.choice(["cell", "cell", "cell", "run", "run", "run", "slide", "slide", "tile", "tile", "region", "model"])
        try:
            said.append(break_value(db, table, rng))
        except sqlite3.Error:
            # NOT NULL, UNIQUE or a trigger says no: another one.
            pass
    db.close()
    return "SQLite values: " + "; ".join(said)


def break_value(db, table, rng):
    columns = [(row[1], row[5]) for row in db.execute(f"PRAGMA table_info({table})")]
    key = [name for name, is_key in columns if is_key] or ["rowid"]
    keys = db.execute(f"SELECT {', '.join(key)} FROM {table} ORDER BY {', '.join(key)}").fetchall()
    if not keys:
        raise sqlite3.Error("no rows")
    column = rng.choice([name for name, _ in columns])
    if rng.random() < 0.25:
        # What is divided by, allocated for or counted with, where this version has it.
        column = rng.choice({"cell": ["mask_width", "mask_height", "mask_x", "polygon", "mask"],
                             "run": ["tile_side", "tile_rows", "level0_per_pixel", "next_tile_row", "frontier", "settings", "status"],
                             "slide": ["width", "height", "microns_per_pixel", "bounds_x"],
                             "tile": ["level0_width", "tile_row", "tile_column"]}.get(table, [column]))
    row = dict(zip(key, rng.choice(keys)))
    where, bound = " AND ".join(f"{k} = :{k}" for k in key), row
    if rng.random() < 0.3:
        where, bound = "1", {}
    old = db.execute(f"SELECT {column} FROM {table} WHERE {where}", bound).fetchone()[0]
    if isinstance(old, bytes) and rng.random() < 0.8:
        new = break_blob(old, rng)
    else:
        new = rng.choice([-1, 0, 1, -1.5, 1e300, -1e300, float("inf"), float("-inf"), 1e-320, 1 << 31, 1 << 40, (1 << 63) - 1,
                          -(1 << 63), "x", "", "5", "x" * 1_000_000, "\0", None, b"", b"\xff\xfe", bytes(1_000_000), "../../x", "2e9"])
    db.execute(f"UPDATE {table} SET {column} = :new WHERE {where}", {**bound, "new": new})
    return f"{table}.{column} = {repr(new)[:40]}{' in all rows' if where == '1' else ''}"


def break_blob(old, rng):
    kind = rng.choice(["cut", "cut", "flip", "numbers", "long"])
    if kind == "cut":
        return old[:rng.randrange(max(1, len(old)))]
    new = bytearray(old)
    if kind == "long":
        return bytes(old * 5000)
    if kind == "numbers":
        # Counts of WKB rings and points, and its coordinates.
        place = rng.choice([1, 5, 9, 13, 21])
        new[place:place + 8] = rng.choice([b"\xff" * 4, struct.pack("<I", 0x7FFFFFFF), struct.pack("<d", 1e300), struct.pack("<d", float("nan")),
                                           struct.pack("<d", float("inf")), bytes(8), struct.pack("<I", 6)])
    for _ in range(rng.choice([1, 5, 50]) if kind == "flip" and new else 0):
        new[rng.randrange(len(new))] = rng.choice([0, 0x7F, 0x80, 0xFF, 0x6F, 0x30])
    return bytes(new)


# ---- gzip

def write_bomb(file, head, piece, size):
    """A gzip file that unpacks to `head` and then `piece` over and over. Members of one file follow each other, so one packed
    member of 16 MiB is written many times, and nothing large is held."""
    count = (16 << 20) // len(piece)
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    block = piece * max(1, min(count, (1 << 20) // len(piece)))
    times = (16 << 20) // len(block)
    member = b"".join(packer.compress(block) for _ in range(times)) + packer.flush()
    with open(file, "wb") as f:
        if head:
            f.write(gzip.compress(head))
        for _ in range(size // (times * len(block))):
            f.write(member)


def break_gzip(file, data, rng):
    """`data` is what a sound file begins with, and what may go on without end, with a bar between them."""
    head, piece = data.split(b"|")
    kind = rng.choice(["zeros", "one line", "rows", "rows", "little"])
    # A few MiB: below what is suspicious.
    size = 8 << 20 if kind == "little" else 4 << 30
    write_bomb(file, head, {"zeros": bytes(1 << 16), "one line": b"7" * (1 << 16)}.get(kind, piece), size)
    return f"gzip: {kind} of {size >> 20} MiB"
