"""The plots, drawn by gnuplot as SVG: bars for one number of each server, curves for whole distributions."""
import math
import os
import shutil
import subprocess

COLOURS = {"direct": "#adb5bd", "haproxy": "#4dabf7", "nginx": "#51cf66", "mod_proxy": "#ff922b", "baseline": "#b197fc", "gateway": "#7048e8"}
TITLES = {"direct": "direct", "haproxy": "HAProxy", "nginx": "nginx", "mod_proxy": "httpd mod_proxy", "baseline": "mod_aigw before", "gateway": "mod_aigw"}
STYLE = """
set terminal svg size 800,430 dynamic noenhanced font "DejaVu Sans,Verdana,Arial,sans-serif,13" background "#ffffff"
set output "{file}"
set label "{title}" at screen 0.5,0.95 center font ",16" textcolor "#212529"
set border 3 linecolor "#868e96"
set tics nomirror textcolor "#495057"
set grid ytics linecolor "#e9ecef" linewidth 1
set ylabel "{ylabel}" textcolor "#495057"
set key at screen 0.5,0.91 center top horizontal maxrows 1 reverse Left textcolor "#343a40" samplen 1.2
set tmargin 4.5
set lmargin 10
set rmargin 3
"""


def write(results, folder):
    """Draws what there are numbers for. Returns the names of the files."""
    if not shutil.which("gnuplot"):
        print("no plots: gnuplot is not installed (Debian: gnuplot-nox); --install installs it")
        return []
    made = []
    for name, text in _plots(results):
        if text:
            subprocess.run(["gnuplot"], input=text.replace("{file}", os.path.join(folder, name)), text=True, check=True)
            made.append(name)
    return made


def _plots(results):
    rows = {row.name: row for row in results.rows}
    title = {name: row.title(results.about["quick"]) for name, row in rows.items()}

    def bars(key, *names):
        return [(title[n], {s.name: results.median(rows[n], s.name, key) for s in results.servers}) for n in names if n in rows]

    yield "cpu.svg", _bars("CPU of a token", "CPU seconds per million tokens", bars("cpu_per_m", "streams5000", "pace64"), "%.1f")
    yield "memory.svg", _bars("Memory of an open stream", "KB", bars("pss_kb", "memory", "memory-tls"), "%.0f", limits=(40, 75))
    yield "requests.svg", _bars("Requests per second, JSON in and out, 64 connections", "thousands a second", _scaled(bars("requests_per_s", "json64"), 1e-3), "%.1f")
    yield "added.svg", _bars("Added latency, JSON in and out, 1 connection", "µs, median", bars("added_p50", "json1"), "%.0f")
    if "leave" in rows:
        phases = [(p.replace("_", " "), {s.name: results.median(rows["leave"], s.name, f"{p}_max") for s in results.servers}) for p in rows["leave"].phases]
        yield "leave.svg", _bars(f"{title['leave']}: until the upstream is closed", "ms, slowest", phases, "%.1f", log=True, limits=(50,) * 3, missing="never")
    for name, row, unit in (("latency.svg", "streams5000", "added to a token, ms"), ("latency-9500.svg", "streams9500", "added to a token, ms"),
                            ("json.svg", "json1", "request to answer, ms")):
        if row in rows:
            yield name, _curves(title[row], unit, {s.name: _buckets(results, row, s.name) for s in results.servers})


def _scaled(groups, factor):
    return [(title, {n: v * factor if v is not None else None for n, v in values.items()}) for title, values in groups]


def _quoted(text):
    return text.replace('"', "'")


def _style(title, ylabel):
    return STYLE.replace("{title}", _quoted(title[0].upper() + title[1:])).replace("{ylabel}", ylabel)


def _bars(title, ylabel, groups, form, log=False, limits=(), missing="–"):
    """Groups of bars, a bar for each server, its number on top; a dashed line where the limit of a group is."""
    servers = [n for n in COLOURS if any(values.get(n) is not None for _, values in groups)]
    if not servers:
        return None
    bars, absent, tics, lines, top = {n: [] for n in servers}, [], [], [], 0
    for number, (name, values) in enumerate(groups):
        left = number * (len(servers) + 1)
        if len(groups) > 1:
            tics.append(f'"{_quoted(name)}" {left + (len(servers) - 1) / 2}')
        for x, n in enumerate(servers, left):
            if len(groups) == 1:
                tics.append(f'"{TITLES[n]}" {x}')
            if values.get(n) is None:
                absent.append(x)
            else:
                bars[n].append((x, values[n]))
                top = max(top, values[n])
        if number < len(limits):
            lines.append(f"set arrow from {left - 0.55},{limits[number]} to {left + len(servers) - 0.45},{limits[number]} nohead "
                         'linecolor "#e03131" linewidth 1.5 dashtype 2 front')
            top = max(top, limits[number])
    lines += [f'set label "{missing}" at {x},graph 0.03 center font ",11" textcolor "#868e96"' for x in absent]
    text = _style(title, ylabel) + f"""
set style fill solid 0.95 noborder
set boxwidth 0.86
set xrange [-0.8:{len(groups) * (len(servers) + 1) - 1.2}]
set xtics ({", ".join(tics)}) scale 0
{"set nokey" if len(groups) == 1 else ""}
""" + "\n".join(lines) + ("\nset logscale y\nset format y '%%g'\nset yrange [0.01:%g]\n" % (top * 4) if log else f"\nset yrange [0:{top * 1.12}]\n")
    plots = []
    for n in servers:
        text += f"${n} << END\n" + "".join(f"{x} {y}\n" for x, y in bars[n]) + "END\n"
        plots.append(f'${n} using 1:2 with boxes linecolor "{COLOURS[n]}" title "{TITLES[n]}"')
        plots.append(f'${n} using 1:2:(sprintf("{form}", $2)) with labels offset 0,0.6 font ",11" textcolor "#343a40" notitle')
    return text + "plot " + ", ".join(plots) + "\n"


def _buckets(results, row, server):
    """The histograms of all rounds in one: [(upper bound in µs, how many), …]"""
    counts = {}
    for numbers in results.rounds[row][server]:
        for upper, n in (numbers or {}).get("histogram", []):
            counts[upper] = counts.get(upper, 0) + n
    return sorted(counts.items())


def _curves(title, ylabel, histograms):
    """A curve for each server: what share of all was as fast as that. To the right each step is a tenth of what was left."""
    text, plots = "", []
    for n in COLOURS:
        buckets = histograms.get(n)
        total = sum(count for _, count in buckets) if buckets else 0
        if not total:
            continue
        seen, points = 0, []
        for upper, count in buckets:
            seen += count
            rest = 1 - seen / total
            points.append((-math.log10(rest) if rest > 0 else math.log10(total), upper / 1e3))
        text += f"${n} << END\n" + "".join(f"{x} {y}\n" for x, y in points) + "END\n"
        width = 3 if n == "gateway" else 2
        plots.append(f'${n} using 1:2 with lines linewidth {width} linecolor "{COLOURS[n]}" title "{TITLES[n]}"')
    if not plots:
        return None
    return _style(title, ylabel) + """
set logscale y
set format y "%g"
set xrange [0:4]
set xtics ("0" 0, "50 %%" 0.30103, "90 %%" 1, "99 %%" 2, "99.9 %%" 3, "99.99 %%" 4)
set xlabel "so many were as fast or faster" textcolor "#495057"
set grid xtics linecolor "#e9ecef"
""" + text + "plot " + ", ".join(plots) + "\n"
