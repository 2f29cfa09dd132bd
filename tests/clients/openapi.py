"""Cutting an OpenAPI description down to some operations, and fitting it to a running node."""

import copy
from pathlib import Path

import yaml

METHODS = ("get", "put", "post", "delete", "patch", "head")


def load(file):
    return yaml.load(Path(file).read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def dumped(description):
    return yaml.dump(description, sort_keys=False, allow_unicode=True, Dumper=Plain, width=100)


def operations(description):
    """All operations, as implemented.txt names them."""
    return [
        f"{method.upper()} {path}"
        for path, item in description["paths"].items()
        for method in item
        if method in METHODS
    ]


def restricted(description, wanted):
    """A copy with the wanted operations alone, and those components that they reach."""
    missing = sorted(set(wanted) - set(operations(description)))
    if missing:
        raise ValueError(f"not in the description (--trim makes it anew): {', '.join(missing)}")
    cut = {key: value for key, value in description.items() if key not in ("paths", "components")}
    cut["paths"] = {}
    for path, item in description["paths"].items():
        kept = {
            key: value
            for key, value in item.items()
            if key not in METHODS or f"{key.upper()} {path}" in wanted
        }
        if any(key in METHODS for key in kept):
            cut["paths"][path] = kept
    cut["components"] = reached(description, cut["paths"])
    return copy.deepcopy(cut)


def reached(description, paths):
    """The components that paths refer to, directly or through others, in the order of the source."""
    found, waiting = set(), list(references(paths))
    while waiting:
        reference = waiting.pop()
        if reference not in found:
            found.add(reference)
            _, _, kind, name = reference.split("/")
            waiting += references(description["components"][kind][name])
    components = {}
    for kind, entries in description["components"].items():
        kept = {name: e for name, e in entries.items() if f"#/components/{kind}/{name}" in found}
        # Nothing refers to how one authenticates: it is named, not referenced.
        kept = entries if kind == "securitySchemes" else kept
        if kept:
            components[kind] = kept
    return components


def references(part):
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def with_both_successes(description):
    """The description says 201 of some operations that answer 200: either is held to the shape."""
    for path, method in each(description):
        responses = description["paths"][path][method]["responses"]
        for one, other in (("200", "201"), ("201", "200")):
            if one in responses:
                responses.setdefault(other, responses[one])


def with_real_ids(description, ids):
    """Names what the node holds as examples of path parameters; ids may be by operation."""
    for path, method in each(description):
        of_this_one = ids.get(f"{method.upper()} {path}", {})
        for parameter in description["paths"][path][method].get("parameters", []):
            value = of_this_one.get(parameter.get("name"), ids.get(parameter.get("name")))
            if parameter.get("in") == "path" and value is not None:
                parameter["example"] = value


def each(description):
    for path, item in description["paths"].items():
        for method in item:
            if method in METHODS:
                yield path, method


class Plain(yaml.SafeDumper):
    """Writes what occurs twice in full, for a description is read by people, too."""

    def ignore_aliases(self, data):
        return True
