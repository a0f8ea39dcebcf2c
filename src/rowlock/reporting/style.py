"""How the page looks: light and dark, narrow and wide, and on paper."""

from __future__ import annotations

from typing import Final

__all__ = ["STYLE"]

# Colours of lines: Okabe and Ito (2008), told apart with every colour vision; a little lighter on dark ground.
STYLE: Final = """
:root{--back:#f7f7f4;--paper:#fff;--ink:#1f2023;--faint:#6b6a64;--edge:#e2e1da;--grid:#ecebe5;--bad:#b3261e;
--note:#fff6de;--noteedge:#e5c97a;--right:0,114,178;--wrong:213,94,0;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7;--c4:#8a6d00;--c5:#56b4e9;--c6:#6b6b6b}
@media (prefers-color-scheme:dark){:root{--back:#151618;--paper:#1e2023;--ink:#e8e7e3;--faint:#a3a29b;--edge:#34363a;
--grid:#2a2c30;--bad:#ff8a80;--note:#332b16;--noteedge:#7d6830;--right:64,150,214;--wrong:226,120,48;
--c0:#4ea6dd;--c1:#f08a45;--c2:#3cc39c;--c3:#e09cc3;--c4:#d9b840;--c5:#9ad3f5;--c6:#b0b0b0}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);
  font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1040px;margin:0 auto;padding:24px 20px 48px}
header,section{background:var(--paper);border:1px solid var(--edge);border-radius:10px;padding:20px 24px;
  margin:0 0 18px}
h1{font-size:30px;line-height:1.2;margin:0;overflow-wrap:anywhere}
h2{font-size:20px;margin:0 0 12px}
h3{font-size:16px;margin:22px 0 6px}
p{margin:8px 0}
code{font-size:.92em;overflow-wrap:anywhere}
.over{color:var(--faint);font-size:13px;letter-spacing:.06em;text-transform:uppercase;margin:0 0 2px}
.under,.caption,figcaption{color:var(--faint)}
.caption,figcaption{font-size:14px}
.tiles{display:flex;flex-wrap:wrap;gap:10px;
  margin:18px 0 10px}
.small{font-size:13px;margin-top:6px;width:100%}
.small th,.small td{padding:1px 8px 1px 0;border:0}
.first{margin-top:4px}
.tile{flex:1 1 138px;max-width:240px;border:1px solid var(--edge);border-radius:8px;padding:10px 12px;display:flex;
  flex-direction:column}
.tile span{font-size:14px;color:var(--faint)}
.tile b{font-size:24px;line-height:1.3;font-variant-numeric:tabular-nums}
.tile small{font-size:12.5px;color:var(--faint)}
.tile.main{border-color:var(--c0);border-width:2px}
.tile.main b{color:var(--c0)}
.notes{background:var(--note);border:1px solid var(--noteedge);border-radius:8px;padding:6px 14px;margin-top:14px;
  overflow-wrap:anywhere}
.wide{overflow-x:auto;margin:10px 0}
table{border-collapse:collapse;font-size:15px}
td:first-child{white-space:nowrap}
.facts td{white-space:normal}
.many td+td{overflow-wrap:anywhere;min-width:84px}
th,td{text-align:left;vertical-align:top;padding:5px 18px 5px 0;border-bottom:1px solid var(--grid)}
th{font-weight:600;color:var(--faint);font-size:14px}
td{overflow-wrap:break-word}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.num small{color:var(--faint)}
.facts th{white-space:nowrap;font-weight:500}
.facts td{overflow-wrap:anywhere}
.share{display:inline-block;min-width:84px;padding:0 4px;border-radius:3px;background:linear-gradient(90deg,
rgba(var(--right),.22) calc(var(--share)*100%),transparent 0)}
.confusion th{text-align:center;padding:5px 10px;color:var(--ink);border:0}
.confusion tbody th{text-align:right;vertical-align:middle}
.confusion .corner{color:var(--faint);font-weight:400;white-space:nowrap}
.confusion td{text-align:center;min-width:74px;padding:8px 10px;border:2px solid var(--paper);border-radius:6px}
.confusion td b{display:block;font-variant-numeric:tabular-nums}
.confusion td small{color:var(--faint)}
.confusion .right{background:rgba(var(--right),calc(.06 + var(--share)*.5))}
.confusion .wrong{background:rgba(var(--wrong),calc(.04 + var(--share)*.75))}
.side{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));gap:12px 24px}
figure{margin:6px 0;max-width:560px;break-inside:avoid}
figure svg{width:100%;height:auto;display:block}
svg text{font-size:12.5px;fill:var(--faint);font-family:inherit}
svg .label{font-size:13px;fill:var(--ink)}
.grid{stroke:var(--grid);stroke-width:1}
.axis{stroke:var(--faint);stroke-width:1}
.line{fill:none;stroke:currentColor;stroke-width:1.8;stroke-linejoin:round}
.line.strong{stroke-width:2.6}
.line.dotted{stroke-dasharray:2 4;stroke-linecap:round;stroke-width:2.4}
.dot{fill:currentColor}
.dot.many{fill-opacity:.5}
.bar{fill:currentColor;fill-opacity:.75}
.ring{fill:none;stroke:currentColor;stroke-width:2}
.whisker{stroke:currentColor;stroke-width:1.6;stroke-opacity:.55}
.guide{stroke:var(--faint);stroke-width:1.2;stroke-dasharray:5 4;fill:none}
.c0{color:var(--c0)}
.c1{color:var(--c1)}
.c2{color:var(--c2)}
.c3{color:var(--c3)}
.c4{color:var(--c4)}
.c5{color:var(--c5)}
.c6{color:var(--c6)}
.legend{display:flex;flex-wrap:wrap;gap:2px 18px;font-size:14px;color:var(--faint)}
.key{display:inline-block}
i.key{width:20px;border-top:3px solid currentColor;vertical-align:middle;margin-right:7px}
i.key.dotted{border-top-style:dotted}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(172px,1fr));gap:14px}
.side .share{min-width:58px}
.side th,.side td{padding-right:12px}
.side thead th{white-space:normal;vertical-align:bottom}
.cards.broad{grid-template-columns:repeat(auto-fill,minmax(min(100%,236px),1fr))}
.card{overflow:hidden;border:1px solid var(--edge);border-radius:8px;padding:9px;font-size:14px;break-inside:avoid;
  min-width:0}
.pictures{display:flex;gap:4px}
.pictures a,.pictures>img{flex:1;min-width:0}
.pictures img{display:block;width:100%;height:156px;object-fit:contain;background:var(--grid);border-radius:5px}
.gone{height:156px;display:grid;place-items:center;background:var(--grid);border-radius:5px;color:var(--faint)}
.said{display:flex;flex-wrap:wrap;gap:0 14px;margin-top:7px}
.said b{font-size:15px;overflow-wrap:anywhere}
.bad{color:var(--bad)}
.note,.card .path,.card .key{font-size:12.5px;color:var(--faint);overflow-wrap:anywhere}
.card .key{color:var(--ink)}
.series svg{width:100%;height:34px;display:block;margin:4px 0}
.series .line{stroke-width:1.2;vector-effect:non-scaling-stroke}
a{color:inherit;text-decoration-color:var(--edge)}
details{margin-top:12px}
summary{cursor:pointer;color:var(--faint)}
footer{color:var(--faint);font-size:13px;overflow-wrap:anywhere}
@media (max-width:600px){main{padding:10px 8px 32px}
header,section{padding:14px 13px;border-radius:8px}
h1{font-size:25px}
.tile{flex-basis:40%;max-width:none}
svg text{font-size:14.5px}
svg .label{font-size:15px}
.cards{grid-template-columns:1fr 1fr;gap:9px}
.pictures img,.gone{height:120px}
th,td{padding-right:12px}}
@media print{:root{--back:#fff;--paper:#fff;--ink:#000;--faint:#555;--edge:#ccc;--grid:#e8e8e8;--bad:#b3261e;
  --note:#fff;
--noteedge:#999;--right:0,114,178;--wrong:213,94,0;--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7;--c4:#8a6d00;
  --c5:#56b4e9;
--c6:#6b6b6b}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
body{font-size:12px}
main{max-width:none;padding:0}
header,section{border:0;padding:6px 0;margin:0 0 8px}
h2,h3{break-after:avoid}
tr,.tile{break-inside:avoid}
details::details-content{content-visibility:visible;block-size:auto}
summary{display:none}
.wide{overflow:visible}
table,.caption,figcaption{font-size:11px}
th{font-size:11px}
.side{grid-template-columns:1fr 1fr}
.tile b{font-size:17px}
.cards{grid-template-columns:repeat(5,1fr)}
.pictures img{height:110px}}
""".strip()
