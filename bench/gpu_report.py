"""One Markdown page of what bench/gpu.sh found: gpu_report.py RESULTS.jsonl... >report.md

Nothing but Python's own library. Lines between a rung's beginning and its end are what it measured."""
import json
import sys


def lines(paths):
    for path in paths:
        with open(path, errors="replace") as f:
            for text in f:
                try:
                    yield json.loads(text)
                except ValueError:
                    yield {"torn": text.strip()}


def gather(paths):
    """Calls in order, each with its rungs, each with its results."""
    calls, rung = [], None
    for line in lines(paths):
        if "call" in line:
            calls.append(dict(line, rungs=[]))
            rung = None
        elif not calls:
            continue
        elif line.get("state") == "begun":
            rung = dict(line, state="never ended", results=[])
            calls[-1]["rungs"].append(rung)
        elif "state" in line:
            if rung is None or rung["state"] != "never ended" or rung["name"] != line["name"]:
                rung = {"results": []}
                calls[-1]["rungs"].append(rung)
            rung.update(line)
        elif rung is not None:
            rung["results"].append(line)
    return calls


def cell(value):
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("|", "/").replace("\n", " ")


def table(rows):
    """Objects as a table of all their names, in the order of their first appearance."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    yield "| " + " | ".join(names) + " |"
    yield "|" + " --- |" * len(names)
    for row in rows:
        yield "| " + " | ".join(cell(row.get(name, "")) for name in names) + " |"


def same_bytes(results):
    """What a rung of checks says: how many held, and those that did not."""
    wrong = [r for r in results if not r["same"]]
    yield f"{len(results) - len(wrong)} of {len(results)} comparisons gave the same bytes."
    if wrong:
        yield from ("", *table(wrong[:40]))


def figures(rung):
    """Checks are counted, measurements make a table; what is neither is a list."""
    results = [r for r in rung["results"] if "torn" not in r]
    checks = [r for r in results if "same" in r]
    timings = [r for r in results if "median_ms" in r]
    if checks:
        yield from same_bytes(checks)
    classes = [r for r in results if "class" in r and "ms" in r]
    for some in (timings, classes):
        if some:
            yield from ("", *table(some))
    for other in (r for r in results if r not in checks and r not in timings and r not in classes):
        yield from ("", *(f"- {name}: {cell(value)}" for name, value in other.items()))


def speed_of(call):
    """(who, rows) -> median of a UNet step, of everything in a call that measured one."""
    found = {}
    for rung in call["rungs"]:
        for one in rung["results"]:
            if one.get("name") == "unet" and "median_ms" in one:
                found.setdefault((rung["name"], one.get("rows")), one["median_ms"])
    return found


def against(call):
    """Ours beside every peer at the same number of rows."""
    found = speed_of(call)
    ours = {rows: ms for (who, rows), ms in found.items() if who.startswith("ours")}
    rows = [{"peer": who, "rows": n, "ms": ms, "ours ms": ours[n], "times as fast": ms / ours[n]}
            for (who, n), ms in found.items() if not who.startswith("ours") and n in ours]
    if rows:
        yield from ("", "### UNet step, medians of this run", "", *table(rows))


def page(calls):
    rungs = [r for call in calls for r in call["rungs"]]
    yield "# What the GPU showed"
    yield ""
    if any(call.get("rehearsal") for call in calls):
        yield "**A rehearsal on the emulated GPU: no figure below says anything about a GPU.**"
        yield ""
    for state in dict.fromkeys(r["state"] for r in rungs):
        yield f"- {state}: {sum(r['state'] == state for r in rungs)}"
    for call in calls:
        yield from ("", f"## {call['call']}", "",
                    f"{call['at']}, version {call['version']}, {call['device']}", "")
        yield from table([{"rung": r["rung"], "name": r["name"], "state": r["state"],
                           "seconds": r.get("seconds", ""), "status": r.get("status", "")}
                          for r in call["rungs"]] or [{"rung": "none"}])
        yield from against(call)
        for rung in call["rungs"]:
            said = rung.get("says", "")
            if rung["results"] or said:
                yield from ("", f"### {rung['rung']} {rung['name']}: {rung['state']}", "", *figures(rung))
            if said:
                yield from ("", "```", said, "```")


found = gather(sys.argv[1:])
if not found:
    sys.exit("no results: expected the results.jsonl of bench/gpu.sh")
print("\n".join(page(found)))
