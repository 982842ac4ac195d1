"""Entropy coding parts that codecs are composed of.

Everything goes onto one ANS stack per section, so a section costs its entropy plus about three bytes:

    enc = ans.Encoder(); ...put...; data = enc.bytes()
    dec = ans.Decoder(data); ...take in the same order...; dec.close()

ans        Encoder, Decoder, Table (integer frequencies); `put(symbols, table)`, `put_uniform(values, size)`
bank       static tables of the discretised Laplace and Gaussian family, indexed by sigma / step in quarter octaves
grouped    `put(enc, symbols, tables)`: int32 matrix (rows, n), one bank index per row; escapes for values out of reach
adaptive   `put(enc, symbols, known)`: the same, choosing known, sent or shared tables and a gain for unusual columns
fitting    best bank index per row from its symbols, and the exact cost in bits of every index
histogram  `put(enc, symbols, alphabet)`: table fitted to this stream and sent; falls back to raw or constant
integers   `put(enc, values)`: rare non-negative integers of any size (Exp-Golomb classes); zigzag for signed ones
scales     standard deviations as 8-bit levels relative to a reference, for assets; sent bank indices, sizes of tokens
lattice_points  points of D4 and E8 under Gaussian tables
packed, coded   small integers and floats together: as they are, or under fitted tables
bits       `pack(values, width)`, `unpack(data, width, count)`: raw b-bit integers, without ANS
planes     `split(array)`, `merge(planes, dtype, shape)`: bytes by significance, sign rotated behind the mantissa

Tables are integers fixed by rounding far from ties, so that encoder and decoder agree on every machine.
Codecs: transforms/rows.py makes (channels, positions) matrices, quantisers/reference.py calibrates means and scales;
codecs/uq_ec.py shows all of them together in a page.
"""
