import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.emit.nibbles import pack_nibbles, unpack_nibbles


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-8, 7), max_size=9))
def test_unpacking_is_the_inverse(numbers):
    packed = pack_nibbles(np.array(numbers, np.int8))
    assert packed.size == (len(numbers) + 1) // 2
    assert unpack_nibbles(packed, len(numbers)).tolist() == numbers


def test_onnx_reads_the_same_order():
    integers = np.int8([[1, -8, 7], [0, -1, 3]])
    tensor = helper.make_tensor("w", TensorProto.INT4, (2, 3), pack_nibbles(integers).tobytes(), raw=True)
    assert numpy_helper.to_array(tensor).astype(np.int8).tolist() == integers.tolist()
