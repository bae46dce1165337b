"""The look of all pages: light and dark, wide and narrow."""

from mgajax.reporting.figures.style import VALIDATION

STYLE = f"""\
:root {{
  color-scheme: light dark;
  --ink: #262b31; --faint: #5c6570; --line: #dfe3e8; --paper: #ffffff; --raised: #f5f7f9;
  --link: #0b5cad; --warning: {VALIDATION};
}}
@media (prefers-color-scheme: dark) {{
  :root {{
    --ink: #e4e7eb; --faint: #a4adb8; --line: #363d46; --paper: #14171b; --raised: #1e2329;
    --link: #86bdf5; --warning: #f08a4b;
  }}
}}
* {{ box-sizing: border-box; }}
body {{
  margin: 0; color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}}
main, header, footer {{ max-width: 72rem; margin: 0 auto; padding: 0 1.25rem; }}
header {{ padding-top: 1.25rem; color: var(--faint); font-size: .9rem; }}
footer {{ padding: 2rem 1.25rem; color: var(--faint); font-size: .85rem; }}
h1 {{ font-size: 1.75rem; line-height: 1.25; margin: .4rem 0 1rem; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.25rem; margin: 2.75rem 0 .75rem; padding-top: .9rem;
  border-top: 1px solid var(--line); }}
h3 {{ font-size: 1.05rem; margin: 1.75rem 0 .5rem; }}
p {{ max-width: 46rem; overflow-wrap: anywhere; }}
a {{ color: var(--link); }}
code {{ font: .87em/1.4 ui-monospace, "DejaVu Sans Mono", monospace; background: var(--raised);
  padding: .1em .35em; border-radius: 4px; overflow-wrap: anywhere; }}
pre {{ background: var(--raised); padding: .8rem; border-radius: 6px; overflow-x: auto; }}
pre code {{ padding: 0; overflow-wrap: normal; }}
.contents {{ display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; padding: 0; list-style: none;
  font-size: .92rem; }}
.box {{ overflow-x: auto; max-width: 100%; }}
.box:focus-visible, a:focus-visible, summary:focus-visible {{ outline: 2px solid var(--link);
  outline-offset: 2px; }}
.caption {{ color: var(--faint); font-size: .9rem; margin: 1.4rem 0 .1rem; }}
table {{ border-collapse: collapse; font-size: .9rem; width: max-content; }}
th, td {{ padding: .38rem 1.1rem .38rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: baseline; max-width: 24rem; overflow-wrap: anywhere; }}
th:first-child {{ position: sticky; left: 0; background: var(--paper); }}
td code, th code {{ overflow-wrap: normal; white-space: nowrap; }}
thead th {{ color: var(--faint); font-weight: 500; border-color: var(--faint); }}
tbody th {{ font-weight: 500; }}
.number {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }}
.span, .faint, .faint th {{ color: var(--faint); }}
.faint th {{ font-weight: 400; font-style: italic; }}
.files {{ color: var(--faint); font-size: .85rem; margin: .25rem 0 1.4rem; }}
figure {{ margin: 1rem 0 0; }}
figure .box {{ width: fit-content; background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: .6rem; }}
figure img {{ display: block; height: auto; max-width: 100%; }}
figcaption {{ max-width: 46rem; font-size: .92rem; margin-top: .35rem; }}
dl {{ display: grid; grid-template-columns: minmax(7rem, auto) 1fr; gap: .3rem 1.2rem; margin: 0;
  max-width: 60rem; }}
dt {{ color: var(--faint); }}
dd {{ margin: 0; overflow-wrap: anywhere; }}
.missing {{ border-left: 4px solid var(--warning); background: var(--raised); padding: .5rem .8rem;
  border-radius: 0 6px 6px 0; }}
details {{ margin: 1rem 0; }}
summary {{ cursor: pointer; color: var(--link); }}
@media (max-width: 40rem) {{
  body {{ font-size: 15px; }} th, td {{ max-width: 11rem; padding-right: .8rem; }}
  dl {{ grid-template-columns: 1fr; gap: 0; }} dd {{ margin-bottom: .45rem; }}
}}
@media print {{ .contents, .files {{ display: none; }} }}
"""
