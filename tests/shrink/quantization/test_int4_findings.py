from edgekit.shrink.quantization.int4 import quantize_int4
from edgekit.shrink.quantization.int4_findings import int4_findings
from edgekit.types.finding import Severity
from tests.emit.tflite.sketch import Sketch


def quantized():
    sketch = Sketch()
    first = sketch.conv(sketch.input(1, 3, 6, 6), 64, kernel=(3, 3))
    return quantize_int4(sketch.graph(sketch.conv(first, 64)), spare=0.0)


def test_it_counts_and_names():
    (found,) = int4_findings(quantized(), informed=True)
    assert found.message.startswith("1 of 2 weights are int4 (2.3 kB), 1 are int8 (2.0 kB)")
    assert "block.0 (Conv)" in found.message
    assert found.severity is Severity.NOTE


def test_without_data_it_says_what_is_lost():
    codes = {finding.code: finding.severity for finding in int4_findings(quantized(), informed=False)}
    assert codes == {"int4-weights": Severity.NOTE, "int4-without-data": Severity.WARNING}
