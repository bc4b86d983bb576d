"""What came out: medians, ratios and verdicts, as Markdown and JSON."""
import json
import os
import platform
import statistics

MET, MISSED, UNKNOWN = "pass", "MISS", "not measured"


class Results:
    """Numbers by row, server and round."""

    def __init__(self, rows, servers, about):
        self.rows, self.servers, self.about = rows, servers, about
        self.rounds = {row.name: {server.name: [] for server in servers} for row in rows}   # None: it failed
        self.errors = []

    def add(self, row, server, numbers):
        self.rounds[row.name][server.name].append(numbers)

    def add_error(self, row, server, text):
        self.add(row, server, None)
        self.errors.append((row.name, server.name, text))

    def values(self, row, server, key):
        """Of each round; None where there is none."""
        if key == "added_p50" and row.name == "json1":
            return [a - b if a is not None and b is not None and server != "direct" else None
                    for a, b in zip(self.values(row, server, "p50"), self.values(row, "direct", "p50"))]
        return [numbers.get(key) if numbers else None for numbers in self.rounds[row.name].get(server, [])]

    def median(self, row, server, key):
        values = [v for v in self.values(row, server, key) if v is not None]
        return statistics.median(values) if values else None

    def ratio(self, row, server, other, key):
        """The median of the rounds' own ratios: what else went on in a round was beside both."""
        ratios = [a / b for a, b in zip(self.values(row, server, key), self.values(row, other, key)) if a is not None and b]
        return statistics.median(ratios) if ratios else None

    def verdict(self, row, target, server="gateway"):
        """(what was reached, pass or MISS)"""
        value = self.ratio(row, server, target.of, target.metric) if target.of else self.median(row, server, target.metric)
        if not target.of and target.metric in ("lost", "unseen"):
            lost = [v for v in self.values(row, server, target.metric) if v is not None]
            value = max(lost) if lost else None     # a median would hide one
        return value, UNKNOWN if value is None else MET if target.met(value) else MISSED


def _line(cells):
    return "| " + " | ".join(cells) + " |"


def _factor(value):
    return f"{value:.2f}" if value else "–"


def markdown(results):
    names = [s.name for s in results.servers]
    others = [n for n in ("baseline", "nginx", "mod_proxy") if n in names]
    with_ratios = others if "gateway" in names else []
    lines = [_line(["work", "number", *names, *(f"gateway / {o}" for o in with_ratios)]),
             _line(["---", "---", *["---:"] * (len(names) + len(with_ratios))])]
    for row in results.rows:
        title = row.title(results.about["quick"])
        for metric in row.metrics:
            if all(results.median(row, n, metric.key) is None for n in names):
                continue
            lines.append(_line([title, metric.title, *(metric.text(results.median(row, n, metric.key)) for n in names),
                                *(_factor(metric.compared and results.ratio(row, "gateway", o, metric.key)) for o in with_ratios)]))
            title = ""
    text = ["# bench/run", "", *(f"* {key}: {value}" for key, value in results.about.items() if key != "quick"), "",
            "Medians of the rounds. A ratio is the median of the ratios of each round.", "", *lines, ""]
    if "gateway" in names:
        text += ["| work | the gateway must | reached | |", "|---|---|---:|---|"]
        for row in results.rows:
            for target in row.targets:
                value, verdict = results.verdict(row, target)
                goal = "" if target.goal is None else f" (goal {target.goal:g})"
                text.append(_line([row.title(results.about["quick"]), target.text + goal, "–" if value is None else f"{value:.2f}" if target.of else f"{value:.4g}", verdict]))
        text.append("")
    if results.errors:
        text += ["What failed:", "", *(f"* {row}, {server}: {error}" for row, server, error in results.errors), ""]
    return "\n".join(text)


def as_json(results):
    rows = {}
    for row in results.rows:
        rows[row.name] = {
            "title": row.title(results.about["quick"]), "size": row.sizes[results.about["quick"]],
            "rounds": results.rounds[row.name],
            "median": {s.name: {m.key: results.median(row, s.name, m.key) for m in row.metrics} for s in results.servers},
            "targets": [{"text": t.text, "reached": results.verdict(row, t)[0], "verdict": results.verdict(row, t)[1]} for t in row.targets]}
    return {"about": results.about, "rows": rows, "errors": results.errors}


def about(servers, rounds, quick):
    cpu = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
        for line in f:
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    return {"machine": f"{os.cpu_count()} × {cpu}, Linux {platform.release()}",
            "servers": ", ".join(dict.fromkeys(s.version() for s in servers if s.version())),
            "rounds": rounds, "access logs": "none, of any server", "quick": quick,
            "load before": f"{os.getloadavg()[0]:.2f} (1 minute; what else runs is in the numbers)"}


def write(results, folder):
    with open(os.path.join(folder, "results.json"), "w", encoding="utf-8") as f:
        json.dump(as_json(results), f, indent=1)
    with open(os.path.join(folder, "results.md"), "w", encoding="utf-8") as f:
        f.write(markdown(results))
