"""Which torch module an ONNX node came from, so that reports speak of `features.3.conv`, not of `node_412`.

Sources, in order: the scopes that torch.onnx (dynamo) writes into each node's metadata, its older namespace
string, and node names of the TorchScript exporter (`/layer1/layer1.0/conv1/Conv`).
"""

from __future__ import annotations

import ast

import onnx

SCOPES_KEY = "pkg.torch.onnx.name_scopes"
NAMESPACE_KEY = "namespace"
EDGEKIT_KEY = "edgekit.module"


def module_path(node: onnx.NodeProto) -> str:
    """Dotted path of the torch module; the node's own name for other exporters; "" at top level."""
    metadata = {entry.key: entry.value for entry in node.metadata_props}
    if EDGEKIT_KEY in metadata:
        return str(metadata[EDGEKIT_KEY])
    if SCOPES_KEY in metadata:
        return _from_scopes(metadata[SCOPES_KEY])
    if NAMESPACE_KEY in metadata:
        return _from_namespace(metadata[NAMESPACE_KEY])
    if node.name.startswith("/"):
        return _from_script_name(node.name)
    return str(node.name)


def _from_scopes(text: str) -> str:
    """`['', 'layer1', 'layer1.0', 'conv2d']`: modules from outermost to innermost, then the operation.

    >>> _from_scopes("['', 'layer1', 'layer1.0', 'conv2d']")
    'layer1.0'
    """
    try:
        scopes = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return ""
    return str(scopes[-2]) if isinstance(scopes, list) and len(scopes) > 1 else ""


def _from_namespace(text: str) -> str:
    """`: pkg.Net/layer1: torch.Conv2d/conv2d: aten.conv2d.default`.

    >>> _from_namespace(": pkg.Net/layer1: torch.nn.Conv2d/conv2d: aten.conv2d.default")
    'layer1'
    """
    scopes = [part.split(":", 1)[0].strip() for part in text.split("/")]
    return scopes[-2] if len(scopes) > 1 else ""


def _from_script_name(name: str) -> str:
    """`/layer1/layer1.0/conv1/Conv`: each attribute name, with indices repeated after their container's name.

    >>> _from_script_name("/layer1/layer1.0/conv1/Conv")
    'layer1.0.conv1'
    """
    path: list[str] = []
    for part in name.split("/")[1:-1]:
        if path and part.startswith(f"{path[-1]}."):
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)
