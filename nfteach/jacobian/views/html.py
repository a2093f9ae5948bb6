"""Documents as HTML, for notebooks in light and dark themes."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from .document import Card, Document, Formula, Matrix, Table
from .heatmap import CELLS_UP_TO, heat_map, legend, thumbnail

__all__ = ["render_html"]

# Everything is inside .nfteach-report; colours come from the page's theme where it has one.
STYLE = """<style>
.nfteach-report{font:13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);color:var(--jp-ui-font-color1,currentColor);
max-width:960px;padding:4px 2px}
.nfteach-report header{display:flex;flex-wrap:wrap;gap:4px 10px;align-items:baseline;margin-bottom:2px}
.nfteach-report h3{font-size:17px;line-height:1.3;margin:0;font-weight:600}
.nfteach-report h4,.nfteach-report summary{font-size:12px;line-height:1.3;margin:0 0 6px;font-weight:600;
letter-spacing:.03em;color:var(--jp-ui-font-color2,currentColor)}
.nfteach-report p{margin:3px 0;max-width:72ch}.nfteach-report header+p{max-width:none}
.nfteach-report .quiet,.nfteach-report .legend,.nfteach-report figcaption{color:var(--jp-ui-font-color2,currentColor)}
.nfteach-report .badge{border:1px solid currentColor;border-radius:10px;padding:0 9px}
.nfteach-report .good{color:#1b8a5a}.nfteach-report .bad{color:#d55e00}
.nfteach-report .open{display:flex;flex-wrap:wrap;gap:14px 36px;margin:14px 0}
.nfteach-report .open>section{max-width:100%}.nfteach-report .open>section+section{flex:1 1 28em}
.nfteach-report .maps{display:flex;flex-wrap:wrap;gap:8px 28px}
.nfteach-report figure{margin:0}
.nfteach-report svg{display:inline-block;vertical-align:middle;max-width:100%;height:auto;
font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-variant-numeric:tabular-nums}
.nfteach-report .legend{display:flex;flex-wrap:wrap;gap:2px 18px;margin-top:6px;align-items:center;width:0;
min-width:100%}
.nfteach-report .legend span{white-space:nowrap}
.nfteach-report .bar{display:inline-block;width:90px;height:10px;vertical-align:middle;border-radius:2px}
.nfteach-report .scroll{overflow-x:auto}
.nfteach-report table{border-collapse:collapse;margin:2px 0;font-size:13px;font-variant-numeric:tabular-nums}
.nfteach-report table tr:nth-child(n){background:none;border-top:1px solid var(--jp-border-color2,#8884)}
.nfteach-report table tr:first-child:first-child{border-top:0}
.nfteach-report table td,.nfteach-report table th{padding:3px 10px;text-align:right;background:none;border:0;
font-weight:400;white-space:nowrap}
.nfteach-report table th{color:var(--jp-ui-font-color2,currentColor)}
.nfteach-report table .l{text-align:left}.nfteach-report table .w{white-space:normal;min-width:8em;max-width:32em}
.nfteach-report table td:first-child,.nfteach-report table th:first-child{padding-left:0}
.nfteach-report details{border-top:1px solid var(--jp-border-color2,#8884);padding:5px 0}
.nfteach-report summary{cursor:pointer;margin:0}.nfteach-report details[open] summary{margin-bottom:6px}
.nfteach-report .finding{border-left:3px solid currentColor;padding:2px 10px;margin:8px 0;max-width:80ch;
overflow-wrap:anywhere}
.nfteach-report .finding.bad{color:inherit;border-color:#d55e00}.nfteach-report .finding.bad code{color:#d55e00}
</style>"""
MARKS = {"✓": "good", "✗": "bad", "–": "quiet", "·": "quiet"}


def render_html(document: Document) -> str:
    """Format a document as one ``<div class="nfteach-report">``: findings, open sections, then the folded ones."""
    mark = {"good": "✓ ", "bad": "✗ "}.get(document.state, "")
    tag = f'<span class="badge">{escape(document.tag)}</span>' if document.tag else ""
    shown, folded = "", ""
    for section in document.sections:
        title, parts = escape(section.title), "".join(map(_part, section.parts))
        if section.open:
            shown += f"<section><h4>{title}</h4>{parts}</section>"
        else:
            folded += f"<details><summary>{title}</summary>{parts}</details>"
    return (
        f'{STYLE}<div class="nfteach-report"><header><h3>{escape(document.title)}</h3>{tag}'
        f'<span class="badge {document.state}">{mark}{escape(document.verdict)}</span></header>'
        f'<p class="quiet">{escape(document.about)}</p>{"".join(map(_card, document.cards))}'
        f'<div class="open">{shown}</div>{folded}</div>'
    )


def _part(part: str | Formula | Table | Matrix) -> str:
    if isinstance(part, Table):
        return _table(part)
    if isinstance(part, Matrix):
        s = part.structure
        figures = "".join(
            f"<figure><figcaption>{escape(order.caption)}</figcaption>"
            f"{heat_map(part.J, s, order.rows, order.columns, blocks=order.blocks)}</figure>"
            for order in part.orders
        )
        return f'<div class="maps">{figures}</div>{legend(part.J, s)}'
    if isinstance(part, Formula):
        # JupyterLab typesets what stands between dollars; elsewhere the TeX is there to read.
        return f'<p title="{escape(part.plain)}">${escape(part.tex)}$</p>'
    return f"<p>{escape(part)}</p>"


def _table(table: Table) -> str:
    def row(cells: tuple[str, ...], tag: str, picture: str | None) -> Iterator[str]:
        for j, cell in enumerate(cells):
            kind = ("l" if j < table.left else "") + (" w" if j in table.wrap else "")
            yield f'<{tag} class="{kind.strip()}">{_cell(cell)}</{tag}>'
            if j == 0 and picture is not None:
                yield f"<{tag}>{picture}</{tag}>"

    pictures = [_picture(matrix) for matrix in table.pictures] or [None] * len(table.rows)
    pictures = (["J at point 1" if table.pictures else None] if table.head else []) + pictures
    body = "".join(
        f"<tr>{''.join(row(cells, 'th' if table.head and i == 0 else 'td', picture))}</tr>"
        for i, (cells, picture) in enumerate(zip(table.rows, pictures, strict=False))
    )
    return f'<div class="scroll"><table>{body}</table></div>'


def _picture(matrix: Matrix | None) -> str:
    if matrix is None or matrix.structure.dim > CELLS_UP_TO:
        return ""
    return thumbnail(matrix.J, matrix.structure)


def _cell(text: str) -> str:
    kind = MARKS.get(text[:1])
    return f'<span class="{kind}">{text[0]}</span>{escape(text[1:])}' if kind else escape(text)


def _card(card: Card) -> str:
    where = f" <span>{escape(card.where)}</span>" if card.where else ""
    facts = f'<br><span class="quiet">{escape(card.facts)}</span>' if card.facts else ""
    kind, mark = ("bad", "✗") if card.error else ("quiet", "note")
    return f'<div class="finding {kind}">{mark} <code>{card.code}</code>{where}<br>{escape(card.message)}{facts}</div>'
