"""Single backticks link to the public class, function or method of that name, from wherever."""

from sphinx.ext.intersphinx import InventoryAdapter, missing_reference


def by_short_name(app, env, node, contnode):
    """Find what `few_shot_curve`, `MetaLearner.fit` or `GridSearchCV` names, if it is one thing."""
    if (node["refdomain"], node["reftype"]) != ("py", "obj"):
        return None
    target, domain = node["reftarget"], env.get_domain("py")
    if len(ours := _ours(domain, target)) == 1:
        args = env, node["refdoc"], app.builder, "obj", ours[0], node, contnode
        return domain.resolve_xref(*args)
    if len(theirs := _of_sklearn(env, target)) == 1:
        node = node.copy()
        node["reftarget"] = theirs[0]
        return missing_reference(app, env, node, contnode)
    return None


def _ours(domain, target):
    return [
        name
        for name, found in domain.objects.items()
        if name.endswith("." + target)
        and not found.aliased
        and ("." in target or found.objtype in ("class", "function"))
    ]


def _of_sklearn(env, target):
    inventory = InventoryAdapter(env).main_inventory
    return [
        name
        for kind in ("py:class", "py:function", "py:exception")
        for name in inventory.get(kind, {})
        if name.startswith("sklearn.") and "._" not in name and name.endswith("." + target)
    ]


def setup(app):
    """Register it with Sphinx."""
    app.connect("missing-reference", by_short_name)
    return {"parallel_read_safe": True}
