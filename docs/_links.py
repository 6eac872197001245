"""Single backticks link to the public class, function or method of that name, from wherever."""


def by_short_name(app, env, node, contnode):
    """Find what `few_shot_curve` or `MetaLearner.fit` names, if it is one thing alone."""
    if (node["refdomain"], node["reftype"]) != ("py", "obj"):
        return None
    domain, target = env.get_domain("py"), node["reftarget"]
    named = [
        name
        for name, found in domain.objects.items()
        if name.endswith("." + target)
        and not found.aliased
        and ("." in target or found.objtype in ("class", "function"))
    ]
    if len(named) != 1:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", named[0], node, contnode)


def setup(app):
    """Register it with Sphinx."""
    app.connect("missing-reference", by_short_name)
    return {"parallel_read_safe": True}
