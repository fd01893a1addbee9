#!/usr/bin/env python3
"""Writes the unrolled matrix kernels src/Xlstm/Backends/Cpu/Kernels/MatMul{Avx512,Avx2,Vnni,Portable}.{Float32,BFloat16,Int8,Int4}.cs.

    python3 eng/write-matmul-kernels.py            # rewrite the files
    python3 eng/write-matmul-kernels.py --check    # fail if they differ from what this script writes

The JIT keeps accumulators in registers only if each is a local variable with a name, so a tile of 2 panels times 12 tokens is
24 named locals and as many statements: tedious and error-prone by hand, and the same but for names in every shape.
"""
import os
import sys

KERNELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src", "Xlstm", "Backends", "Cpu", "Kernels")

SUMMARIES = {
    "Float32": "float32 panels.",
    "BFloat16": "bfloat16 panels, widened by a shift: a 32-bit lane holds two columns of its row.",
    "Int8": "int8 panels: weights widened to 16 bits, columns in pairs (0, 2) and (1, 3) of each four because two shifts make those.",
    "Int4": "int4 panels: unsigned nibbles times signed bytes; eight steps of at most 2 * 15 * 127 stay inside 16 bits.",
}

DOT_SUMMARIES = {
    "Int8": "int8 panels: four columns of a row are one lane of a dot product.",
    "Int4": "int4 panels: low nibbles and high nibbles, four columns of a row each, are one lane of a dot product.",
}


class Isa:
    """What differs between instruction sets. A panel's 16 rows are one vector, two (l and h) or four (a to d)."""

    def __init__(self, name, bits, shapes, formats, dot=False):
        self.name, self.bits, self.shapes, self.formats, self.dot = name, bits, shapes, formats, dot
        self.wide = bits == 512
        self.vector = f"Vector{bits}"
        self.lanes = bits // 32
        self.parts = {512: [""], 256: ["l", "h"], 128: ["a", "b", "c", "d"]}[bits]
        self.fma = {512: "Avx512F.FusedMultiplyAdd", 256: "Fma.MultiplyAdd", 128: "Vector128.MultiplyAddEstimate"}[bits]
        self.madd = ("Avx512BW" if self.wide else "Avx2") + ".MultiplyAddAdjacent"
        self.vnni = name == "Vnni"  # a dot product with unsigned weights: int8 + 128, less 128 times the activations

    def offset(self, part):
        """First of the 16 rows that a part holds."""
        return self.parts.index(part) * self.lanes

    def scale(self, at):
        """Bytes to float32: the scales of an int8 group, bfloat16."""
        if self.bits == 128:
            return f"(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)({at})).AsUInt16()) << 16).AsSingle()"
        half, widen = ("Vector256", "Avx512F.ConvertToVector512UInt32") if self.wide else ("Vector128", "Avx2.ConvertToVector256Int32")
        return f"({widen}({half}.Load((ushort*)({at}))) << 16).AsSingle()"

    def byte_scale(self, at):
        """Bytes to float32: the scales or minima of an int4 group, unsigned bytes."""
        if self.wide:
            return f"Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load({at})))"
        if self.bits == 256:
            return f"Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)({at})).AsByte()))"
        return f"Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)({at})).AsByte())).AsInt32())"


# Shapes: (panels, tokens, name), as many accumulators as there are registers for.
WIDE = [(4, 1, "Group4x1"), (4, 4, "Group4x4"), (2, 12, "Pair2x12")]
NARROW = [(2, 1, "Pair2x1"), (1, 4, "Single1x4"), (1, 6, "Single1x6")]
ISAS = [
    Isa("Avx512", 512, WIDE, ["Float32", "BFloat16", "Int8", "Int4"]),
    Isa("Avx2", 256, NARROW, ["Float32", "BFloat16", "Int8", "Int4"]),
    Isa("Vnni", 256, NARROW, ["Int8", "Int4"], dot=True),
    Isa("Portable", 128, NARROW, ["Int8", "Int4"], dot=True),
]


class Kernel:
    def __init__(self, isa, fmt, panels, tokens, name):
        self.isa, self.fmt, self.panels, self.tokens, self.name = isa, fmt, range(panels), range(tokens), name
        self.width = tokens if isa.wide or tokens < 6 else 12  # of the tile in memory: six tokens are half of one of 12
        self.lines = []

    def emit(self, indent, text):
        self.lines.append(" " * indent + text if text else "")

    def parts(self):
        return [(p, h) for p in self.panels for h in self.isa.parts]

    def declare(self, indent, element, pattern):
        """One declaration of a vector for each panel and part; {p} and {h} stand for them."""
        vector = f"{self.isa.vector}<{element}>"
        self.emit(indent, f"{vector} " + ", ".join(pattern(p, h) for p, h in self.parts()) + ";")

    def result(self, p, h, t):
        offset = p * 16 + self.isa.offset(h)
        base = "result"
        if self.isa.wide:
            offset = (t * len(self.panels) + p) * 16
        elif len(self.tokens) == 4 and t > 0:
            base += " + resultStride" if t == 1 else f" + ({t} * resultStride)"
        elif len(self.tokens) == 6:
            offset += t * 32
        return base + (f" + {offset}" if offset else "")

    def begin(self, count, x):
        isa = self.isa
        panels = "in PanelGroup panels" if isa.wide else ", ".join(f"byte* panel{i}" for i in self.panels)
        stride = ", int resultStride" if not isa.wide and len(self.tokens) == 4 else ""
        self.emit(0, "")
        self.emit(4, "[MethodImpl(MethodImplOptions.AggressiveOptimization)]")
        self.emit(4, f"private static void {self.fmt}{self.name}({panels}, int {count}, {x}, float* result{stride})")
        self.emit(4, "{")

    def source(self, p):
        return f"panels.P{p}" if self.isa.wide else f"panel{p}"

    def prefetch(self, indent, pointer):
        if len(self.tokens) == 1 and self.isa.bits > 128:
            for p in self.panels:
                self.emit(indent, f"Sse.Prefetch0({pointer(p)} + PrefetchBytes);")

    def multiply_floats(self, indent, suffix, offset):
        for t in self.tokens:
            self.emit(indent, f"{self.isa.vector}<float> x{t}{suffix} = {self.isa.vector}.Create(x[{t + offset}]);")
            for p, h in self.parts():
                self.emit(indent, f"a{p}{h}_{t} = {self.isa.fma}(w{p}{h}{suffix}, x{t}{suffix}, a{p}{h}_{t});")

    def floats(self):
        """acc = fma(w[k], x[k], acc) for k in order."""
        v, element = self.isa.vector, "float" if self.fmt == "Float32" else "uint"
        load = lambda p, h: f"{v}.Load(p{p}" + (" + 8)" if h == "h" else ")")
        self.begin("cols", "float* x")
        self.emit(8, f"{element}* " + ", ".join(f"p{p} = ({element}*){self.source(p)}" for p in self.panels) + ";")
        for t in self.tokens:
            self.declare(8, "float", lambda p, h: f"a{p}{h}_{t} = {v}<float>.Zero")
        if self.fmt == "Float32":
            self.emit(8, "for (int k = 0; k < cols; k++)")
            self.emit(8, "{")
            self.prefetch(12, lambda p: f"(byte*)p{p}")
            self.declare(12, "float", lambda p, h: f"w{p}{h} = {load(p, h)}")
            self.multiply_floats(12, "", 0)
            self.advance(12, 16, self.width)
            self.emit(8, "}")
        else:
            self.emit(8, f"{v}<uint> upperHalf = {v}.Create(0xFFFF0000u);")
            self.emit(8, "for (int k = 0; k < cols - 1; k += 2)")
            self.emit(8, "{")
            self.prefetch(12, lambda p: f"(byte*)p{p}")
            self.declare(12, "uint", lambda p, h: f"pair{p}{h} = {load(p, h)}")
            for suffix, offset, widened in (("a", 0, "(pair{} << 16)"), ("b", self.width, "(pair{} & upperHalf)")):
                self.declare(12, "float", lambda p, h: f"w{p}{h}{suffix} = {widened.format(f'{p}{h}')}.AsSingle()")
                self.multiply_floats(12, suffix, offset)
            self.advance(12, 16, 2 * self.width)
            self.emit(8, "}")
            self.emit(0, "")
            self.emit(8, "if (cols % 2 != 0)")
            self.emit(8, "{")
            self.declare(12, "float", lambda p, h: f"w{p}{h} = ({load(p, h)} << 16).AsSingle()")
            self.multiply_floats(12, "", 0)
            self.emit(8, "}")
        self.emit(0, "")
        for t in self.tokens:
            for p, h in self.parts():
                self.emit(8, f"a{p}{h}_{t}.Store({self.result(p, h, t)});")
        self.emit(4, "}")
        return self.lines

    def advance(self, indent, panel_step, x_step, pointer="p"):
        for p in self.panels:
            self.emit(indent, f"{pointer}{p} += {panel_step};")
        self.emit(indent, f"x += {x_step};")

    def scales(self):
        """Scales (and minima) of a group, float32 a row."""
        def at(p, h, size, first):
            offset = first + size * self.isa.offset(h)
            return f"p{p} + (odd * 32)" + (f" + {offset}" if offset else "")

        if self.fmt == "Int8":
            self.declare(12, "float", lambda p, h: f"s{p}{h} = {self.isa.scale(at(p, h, 2, 0))}")
            return
        self.declare(12, "float", lambda p, h: f"s{p}{h} = d{p}{h} * {self.isa.byte_scale(at(p, h, 1, 0))}")
        self.declare(12, "float", lambda p, h: f"m{p}{h} = dm{p}{h} * {self.isa.byte_scale(at(p, h, 1, 16))}")

    def weights(self, p, h):
        offset = self.isa.offset(h) * 4
        return f"{self.isa.vector}.Load(w{p}" + (f" + {offset})" if offset else ")")

    def multiply_words(self, suffix, offset, weights, element, cast, accumulator):
        """Products of all panels first and then their sums: a processor that deals instructions out to its pipes in turn would
        send product, sum, product, sum to pipes that do not fit them (Zen 4)."""
        for t in self.tokens:
            self.emit(16, f"{self.isa.vector}<{element}> x{t}{suffix} = {self.isa.vector}.Create(x[{t + offset}]).{cast}();")
            self.declare(16, accumulator, lambda p, h: f"y{p}{h}_{t}{suffix} = {self.isa.madd}({weights}{p}{h}, x{t}{suffix})")
            for p, h in self.parts():
                self.emit(16, f"a{p}{h}_{t} += y{p}{h}_{t}{suffix};")

    def dot(self, suffix, offset, weights):
        for t in self.tokens:
            self.emit(16, f"{self.isa.vector}<sbyte> x{t}{suffix} = {self.isa.vector}.Create(x[{t + offset}]).AsSByte();")
            for p, h in self.parts():
                self.emit(16, f"a{p}{h}_{t} = TDot.MultiplyAdd(a{p}{h}_{t}, {weights}{p}{h}, x{t}{suffix});")

    def integer_step(self):
        """The products with the next 64 bytes of each panel: four columns of its 16 rows (int8) or eight (int4)."""
        isa, v, int8 = self.isa, self.isa.vector, self.fmt == "Int8"
        if isa.dot:
            element = "byte" if isa.vnni else "sbyte"
            cast = "" if isa.vnni else ".AsSByte()"
            if int8:
                self.declare(16, element, lambda p, h: f"w{p}{h} = {self.weights(p, h)}" + (" ^ flip" if isa.vnni else cast))
                self.dot("", 0, "w")
            else:
                self.declare(16, element, lambda p, h: f"low{p}{h} = ({self.weights(p, h)} & nibble){cast}" if cast else f"low{p}{h} = {self.weights(p, h)} & nibble")
                self.dot("a", 0, "low")
                self.declare(16, element, lambda p, h: f"high{p}{h} = ({self.weights(p, h)} >> 4){cast}" if cast else f"high{p}{h} = {self.weights(p, h)} >> 4")
                self.dot("b", self.width, "high")
        elif int8:
            self.declare(16, "short", lambda p, h: f"q{p}{h} = {self.weights(p, h)}.AsInt16()")
            self.declare(16, "short", lambda p, h: f"even{p}{h} = (q{p}{h} << 8) >> 8")
            self.declare(16, "short", lambda p, h: f"odd{p}{h} = q{p}{h} >> 8")
            for suffix, offset, weights in (("a", 0, "even"), ("b", self.width, "odd")):
                self.multiply_words(suffix, offset, weights, "short", "AsInt16", "int")
        else:
            self.declare(16, "byte", lambda p, h: f"q{p}{h} = {self.weights(p, h)}")
            self.declare(16, "byte", lambda p, h: f"low{p}{h} = q{p}{h} & nibble")
            self.declare(16, "byte", lambda p, h: f"high{p}{h} = (q{p}{h}.AsUInt16() >> 4).AsByte() & nibble")
            for suffix, offset, weights in (("a", 0, "low"), ("b", self.width, "high")):
                self.multiply_words(suffix, offset, weights, "sbyte", "AsSByte", "short")

    def integers(self):
        """Per group of 32 columns an exact integer sum, then acc = fma(sum, weight scale * activation scale, acc)."""
        isa, v, int8 = self.isa, self.isa.vector, self.fmt == "Int8"
        group_bytes = f"PackedMatrix.{self.fmt}GroupBytes"
        words = int8 and not isa.dot
        header = f"(QuantizedTiles.{'Words' if words else 'Bytes'}Header * {self.width})"
        self.begin("groups", "byte* tile")
        self.emit(8, "byte* " + ", ".join(f"p{p} = {self.source(p)}" for p in self.panels) + ";")
        if isa.vnni:
            self.emit(8, f"{v}<float> bias = {v}.Create(QuantizedTiles.FloatBias).AsSingle();")
        if int8 and isa.vnni:
            self.emit(8, f"{v}<byte> flip = {v}.Create((byte)0x80);")
        if not int8:
            self.emit(8, f"{v}<byte> nibble = {v}.Create((byte)0x0F);")
            if not isa.dot:
                self.emit(8, f"{v}<short> ones = {v}<short>.One;")
            row = lambda p, first: f"{v}.Load((float*)p{p}" + (f" + {first})" if first else ")")
            self.declare(8, "float", lambda p, h: f"d{p}{h} = {row(p, isa.offset(h))}")
            self.declare(8, "float", lambda p, h: f"dm{p}{h} = {row(p, 16 + isa.offset(h))}")
            for p in self.panels:
                self.emit(8, f"p{p} += PackedMatrix.Int4RowBytes;")
        for t in self.tokens:
            for p, h in self.parts():
                self.emit(8, f"{v}<float>.Zero.Store({self.result(p, h, t)});")
        self.emit(0, "")
        self.emit(8, "for (int group = 0; group < groups; group++)")
        self.emit(8, "{")
        self.emit(12, "// A pair of groups shares one cache line of scales, at the front.")
        self.emit(12, "int odd = group & 1;")
        self.scales()
        self.emit(12, "byte* " + ", ".join(f"w{p} = p{p} + PackedMatrix.ScaleLine + (odd * {group_bytes})" for p in self.panels) + ";")
        self.emit(12, f"int* x = (int*)(tile + {header});")
        accumulator = "int" if int8 or isa.dot else "short"
        if int8 and isa.vnni:
            self.emit(12, f"int* offsets = (int*)tile + {2 * self.width};")
        for t in self.tokens:
            zero = f"{v}<{accumulator}>.Zero"
            if isa.vnni:
                zero = f"{v}.Create(offsets[{t}])" if int8 else f"{v}.Create(QuantizedTiles.FloatBias)"
            self.declare(12, accumulator, lambda p, h: f"a{p}{h}_{t} = {zero}")
        self.emit(12, f"for (int step = 0; step < {8 if int8 else 4}; step++)")
        self.emit(12, "{")
        self.prefetch(16, lambda p: f"w{p}")
        if len(self.tokens) == 12:
            # The tile of a long row is more than a first-level cache holds, and comes from the next one each time.
            self.emit(16, "Sse.Prefetch0((byte*)x + TilePrefetchBytes);")
            self.emit(16, "Sse.Prefetch0((byte*)x + TilePrefetchBytes + 64);")
        self.integer_step()
        self.advance(16, 64, (1 if int8 and isa.dot else 2) * self.width, "w")
        self.emit(12, "}")
        self.emit(0, "")
        self.emit(12, "float* xScale = (float*)tile" + (";" if int8 else f", xSum = xScale + {self.width};"))
        for t in self.tokens:
            self.emit(12, f"{v}<float> scale{t} = {v}.Create(xScale[{t}])" + (";" if int8 else f", sum{t} = {v}.Create(-xSum[{t}]);"))
            for p, h in self.parts():
                at = self.result(p, h, t)
                total = f"a{p}{h}_{t}" if int8 or isa.dot else f"{isa.madd}(a{p}{h}_{t}, ones)"
                total = f"{total}.AsSingle() - bias" if isa.vnni else f"{v}.ConvertToSingle({total})"
                value = f"{isa.fma}({total}, s{p}{h} * scale{t}, {v}.Load({at}))"
                self.emit(12, f"{value if int8 else f'{isa.fma}(m{p}{h}, sum{t}, {value})'}.Store({at});")
        self.emit(12, f"tile += QuantizedTiles.{'Words' if words else 'Bytes'}GroupBytes * {self.width};")
        self.emit(12, "if (odd != 0)")
        self.emit(12, "{")
        for p in self.panels:
            self.emit(16, f"p{p} += PackedMatrix.ScaleLine + (2 * {group_bytes});")
        self.emit(12, "}")
        self.emit(8, "}")
        self.emit(4, "}")
        return self.lines


def dispatch(isa, fmt):
    """The override that picks a shape by the tile's width."""
    floats = fmt in ("Float32", "BFloat16")
    count, tile = ("cols", "float* tile") if floats else ("groups", "byte* tile")
    head = ["    /// <inheritdoc/>", f"    public override void {fmt}(in PanelGroup panels, int {count}, {tile}, int width, float* result)", "    {"]
    if isa.wide:
        cases = []
        for label, (_, _, name) in zip(("case 1", "case ActivationTiles.Narrow", "default"), isa.shapes):
            cases += [f"            {label}:", f"                {fmt}{name}(panels, {count}, tile, result);", "                break;"]
        return head + ["        switch (width)", "        {"] + cases + ["        }", "    }"]
    offset = "tile + t" if floats else "tile + (t * sizeof(int))"
    rows = ["", " + PackedMatrix.PanelRows", " + (2 * PackedMatrix.PanelRows)", " + (3 * PackedMatrix.PanelRows)"]
    return head + [
        "        const int Row = GroupPanels * PackedMatrix.PanelRows, WideRow = WidePanels * PackedMatrix.PanelRows;",
        "        switch (width)",
        "        {",
        "            case 1:",
        f"                {fmt}Pair2x1(panels.P0, panels.P1, {count}, tile, result);",
        f"                {fmt}Pair2x1(panels.P2, panels.P3, {count}, tile, result + (2 * PackedMatrix.PanelRows));",
        "                break;",
        "            case ActivationTiles.Narrow:",
        *[f"                {fmt}Single1x4(panels.P{i}, {count}, tile, result{rows[i]}, Row);" for i in range(4)],
        "                break;",
        "            default:",
        "                for (int t = 0; t < ActivationTiles.Wide; t += WideStep)",
        "                {",
        f"                    {fmt}Single1x6(panels.P0, {count}, {offset}, result + (t * WideRow));",
        f"                    {fmt}Single1x6(panels.P1, {count}, {offset}, result + (t * WideRow) + PackedMatrix.PanelRows);",
        "                }",
        "",
        "                break;",
        "        }",
        "    }",
    ]


def write(isa, fmt):
    floats = fmt in ("Float32", "BFloat16")
    lines = ["// Written by eng/write-matmul-kernels.py.", "using System.Runtime.CompilerServices;", "using System.Runtime.Intrinsics;"]
    if isa.bits > 128:
        lines.append("using System.Runtime.Intrinsics.X86;")
    if not (floats and isa.wide):
        lines.append("using Xlstm.Checkpoints.Packed;")
    summary = (DOT_SUMMARIES if isa.dot else SUMMARIES)[fmt]
    lines += ["", "namespace Xlstm.Backends.Cpu.Kernels;", "", f"/// <summary>{summary}</summary>"]
    lines += [f"internal unsafe partial class MatMul{isa.name}{'<TDot>' if isa.dot else ''}", "{"]
    lines += dispatch(isa, fmt)
    for panels, tokens, name in isa.shapes:
        kernel = Kernel(isa, fmt, panels, tokens, name)
        lines += kernel.floats() if floats else kernel.integers()
    return "\n".join(lines + ["}", ""])


def main():
    check = sys.argv[1:] == ["--check"]
    stale = 0
    for isa in ISAS:
        for fmt in isa.formats:
            path = os.path.normpath(os.path.join(KERNELS, f"MatMul{isa.name}.{fmt}.cs"))
            text = write(isa, fmt)
            if check:
                with open(path, encoding="utf-8") as file:
                    if file.read() != text:
                        print(f"{path}: is not what this script writes")
                        stale = 1
            else:
                with open(path, "w", encoding="utf-8", newline="\n") as file:
                    file.write(text)
    return stale


if __name__ == "__main__":
    sys.exit(main())
