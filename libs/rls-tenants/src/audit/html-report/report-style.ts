import { DARK, LIGHT, type Palette } from './palette.js';

function variables(palette: Palette): string {
  return Object.entries(palette)
    .map(([name, color]) => `--${name}:${color}`)
    .join(';');
}

/** The style sheet of the page, allowed by its hash. It is printed in the light colours, with everything opened. */
export const REPORT_STYLE = `:root{color-scheme:light dark;${variables(LIGHT)}}
@media screen and (prefers-color-scheme:dark){:root{${variables(DARK)}}}
*{box-sizing:border-box}
html{scroll-padding-top:1rem;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif;overflow-wrap:anywhere}
main{max-width:76rem;margin:0 auto;padding:clamp(1.25rem,4vw,3.5rem) clamp(1rem,4vw,3rem) 5rem}
h1,h2{font-family:Charter,'Bitstream Charter','Sitka Text',Cambria,'Noto Serif',Georgia,serif;font-weight:600;text-wrap:balance}
h1{font-size:clamp(1.6rem,1.1rem + 2.2vw,2.6rem);line-height:1.2;margin:.25rem 0 1.75rem;max-width:26em}
h2{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}
h3,h4{font-size:1rem;margin:0;font-weight:600}
h4{font-size:.95rem}
p{margin:.5rem 0}
section{margin-top:3.5rem}
a{color:var(--link);text-decoration-thickness:1px;text-underline-offset:.18em}
a:hover{text-decoration-thickness:2px}
:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:2px}
[hidden]{display:none!important}
.v,.skip:not(:focus){position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.skip:focus{position:absolute;top:.5rem;left:.5rem;z-index:2;background:var(--panel);padding:.5rem 1rem}
.defs{position:absolute;width:0;height:0}
code,pre,.object{font-family:ui-monospace,'SF Mono',SFMono-Regular,Menlo,'Cascadia Mono',Consolas,'DejaVu Sans Mono',monospace;font-size:.875em;unicode-bidi:isolate}
bdi[data-code]::before{content:'\\27E8' attr(data-code) '\\27E9';color:var(--critical);font-weight:600}
.lead{max-width:46em;color:var(--muted);margin:0 0 1.25rem}
.lead strong{color:var(--text);font-weight:600}
.eyebrow{margin:0;color:var(--muted);font-size:.875rem;letter-spacing:.01em}
.s{width:1em;height:1em;flex:none;fill:currentColor;vertical-align:-.125em}
.k,.o{fill:none;stroke:var(--panel);stroke-width:1.9;stroke-linecap:round}
.o{stroke:currentColor;stroke-width:2.1;stroke-linejoin:round}
.counts{list-style:none;display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:0;max-width:40rem;margin:0 0 1.75rem;padding:0;border-block:1px solid var(--line)}
.counts li{padding:.7rem .25rem .6rem 1rem;border-left:1px solid var(--line)}
.counts li:first-child{border-left:0;padding-left:0}
.number{display:block;font-size:1.75rem;line-height:1.15;font-weight:600;font-variant-numeric:tabular-nums}
.word{display:flex;align-items:center;gap:.35em;font-size:.875rem}
.none{color:var(--muted)}
.critical{color:var(--critical)}.error{color:var(--error)}.warning{color:var(--warning)}.info{color:var(--info)}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(13rem,100%),1fr));gap:.75rem 2rem;margin:0 0 1.25rem}
dt{font-size:.8125rem;color:var(--muted)}
dd{margin:0}
summary{cursor:pointer}
.skipped>summary,.twin>summary{color:var(--muted);width:fit-content;font-size:.9375rem}
.skipped ul{margin:.5rem 0 0;padding:0 0 0 1.1rem}
.skipped .ids{font-size:.875rem;color:var(--muted);margin-top:0}
.ids span{display:inline-block;margin-right:1rem}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem;margin-top:2rem;padding-top:.75rem;border-top:1px solid var(--line)}
.scroll{overflow-x:auto;max-width:100%;position:relative}
table{border-collapse:collapse;font-size:.9375rem;overflow-wrap:normal}
th{text-align:left;font-weight:600}
thead th{font-size:.8125rem;line-height:1.3;vertical-align:bottom;padding:.4rem .9rem .5rem 0;border-bottom:1px solid var(--muted)}
tbody th,td{padding:.4rem .9rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top}
tbody th[scope=row]{font-weight:400}
.matrix{width:100%;min-width:52rem}
.matrix thead th:not(:first-child){width:11%;padding-left:.6rem;font-weight:500}
.matrix thead th:first-child,.matrix tbody th[scope=row]{position:sticky;left:0;background:var(--page);max-width:26rem;overflow-wrap:anywhere;min-width:9.5rem}
.matrix td{padding-left:.6rem;vertical-align:middle}
.matrix small{display:block;color:var(--muted);font-size:.75rem;font-weight:400;margin-top:.15rem}
.matrix .tier{display:block;color:var(--muted);font-variant-numeric:tabular-nums;font-weight:400}
.matrix th a{color:inherit;text-decoration-color:var(--line)}
.matrix th.partition{padding-left:1.4rem}
.matrix tbody.others th[scope=rowgroup]{padding-top:1.5rem;font-size:.8125rem;color:var(--muted)}
.cell{display:inline-flex;align-items:center;gap:.4em;min-width:3.4rem;padding:.12rem .5rem;border-radius:4px;font-weight:600;font-variant-numeric:tabular-nums;text-decoration:none}
.cell:hover{text-decoration:underline}
.cell.critical,.chip.critical{background:var(--criticalTint)}
.cell.error,.chip.error{background:var(--errorTint)}
.cell.warning,.chip.warning{background:var(--warningTint)}
.cell.info,.chip.info{background:var(--infoTint)}
td.clean,.clean-tables .s{color:var(--clean)}
td.clean::before{content:'';display:inline-block;width:.36em;height:.72em;margin-left:.25em;border:solid;border-width:0 2px 2px 0;transform:translateY(-.1em) rotate(40deg)}
td.clean,td.blank{padding-left:1.1rem}
td.blank{color:var(--muted)}
.tag{display:inline-block;font-size:.75rem;line-height:1.4;color:var(--muted);border:1px solid var(--line);border-radius:3px;padding:0 .35rem;margin-left:.35rem;white-space:nowrap}
.clean-tables,.more{margin-top:1rem}
.more .scroll{margin-top:.75rem}
.clean-tables ul{columns:20rem;column-gap:2rem;list-style:none;padding:0;margin:.75rem 0}
.clean-tables summary .s{margin-right:.4em}
.clean-tables li a{color:inherit;text-decoration-color:var(--line)}
.chip{display:inline-flex;align-items:center;gap:.35em;font:600 .8125rem/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;padding:0 .5rem;border-radius:4px;white-space:nowrap}
#filter{display:flex;flex-wrap:wrap;gap:.75rem 1.25rem;align-items:end;padding:1rem 0;margin-bottom:1rem;border-block:1px solid var(--line);font-size:.875rem}
#filter fieldset{border:0;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:0 .8rem;align-items:center}
#filter legend{padding:0;color:var(--muted);font-size:.8125rem}
#filter label:not(.check){display:grid;color:var(--muted);font-size:.8125rem;flex:1 1 11rem;min-width:0}
.check{display:inline-flex;align-items:center;gap:.35rem;min-height:2.25rem}
input,select,button{font:inherit;color:var(--text);background:var(--panel);border:1px solid var(--muted);border-radius:4px;min-height:2.25rem;padding:.2rem .6rem;max-width:100%;min-width:0}
input[type=checkbox]{min-height:0;width:1.05rem;height:1.05rem;accent-color:var(--link)}
button{cursor:pointer}
button:hover{border-color:var(--text)}
.shown{flex:1 1 100%;display:flex;flex-wrap:wrap;align-items:center;gap:1rem;margin:0;font-variant-numeric:tabular-nums}
.rule,.policies{border-bottom:1px solid var(--line)}
.rule>summary,.policies>summary{position:relative;display:flex;flex-wrap:wrap;align-items:center;gap:.25rem .75rem;padding:.8rem 0 .8rem 1.6rem;list-style:none}
.rule>summary::-webkit-details-marker,.policies>summary::-webkit-details-marker{display:none}
.rule>summary::before,.policies>summary::before{content:'';position:absolute;left:.2rem;top:1.3rem;width:.45rem;height:.45rem;border:solid var(--muted);border-width:0 1.5px 1.5px 0;transform:rotate(-45deg)}
.rule[open]>summary::before,.policies[open]>summary::before{transform:rotate(45deg)}
.count{color:var(--muted);font-size:.875rem}
.rule h3 code{font-size:1em;margin-right:.35rem;font-weight:400;color:var(--muted)}
.reason{max-width:46em;margin:0 0 1.1rem 1.6rem;color:var(--muted)}
article{position:relative;margin:0 0 1.75rem 1.6rem}
.many article{content-visibility:auto;contain-intrinsic-size:auto 12rem}
article>p{max-width:50em;margin:.35rem 0 .6rem}
article h4{display:flex;flex-wrap:wrap;align-items:center;gap:.25rem .6rem}
article:target h4 .object{text-decoration:underline 2px var(--link);text-underline-offset:.25em}
pre{margin:0;padding:.75rem 1rem;background:var(--code);border-radius:5px;line-height:1.55;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.8438rem}
.copy+.fix{padding-right:5.5rem;min-height:3.25rem}
.copy{position:absolute;right:.5rem;margin-top:.5rem;min-height:2.25rem;font-size:.8125rem;z-index:1}
pre b,.clause{font-weight:600;color:var(--keyword)}
pre i{font-style:normal;color:var(--string)}
pre em{font-style:italic;color:var(--muted)}
.wide{left:50%;transform:translateX(-50%);width:max-content;min-width:100%;max-width:calc(100vw - 2rem)}
.graph{display:block;margin:.25rem 0 1.5rem;overflow:visible}
.graph text{font-family:ui-monospace,'SF Mono',SFMono-Regular,Menlo,'Cascadia Mono',Consolas,'DejaVu Sans Mono',monospace;fill:var(--text)}
.node rect{fill:var(--panel);stroke:var(--muted)}
.node path{stroke:var(--muted);stroke-width:5;fill:none}
.node .name{font-size:13px}
.graph .note{font-size:10.5px;fill:var(--muted)}
.node.audited rect{stroke:var(--link);stroke-width:2}.node.audited path{stroke:var(--link)}
.node.exempt path{stroke:var(--critical)}.node.admin path{stroke:var(--warning)}.node.owner path{stroke:var(--clean)}
.edge path{fill:none;stroke:var(--muted);stroke-width:1.2}
.graph .edge text{font-size:10.5px;fill:var(--muted)}
.edge.set path{stroke-dasharray:6 3}.edge.admin path,.edge.none path{stroke-dasharray:1.5 3}
.edge.hot path{stroke:var(--link);stroke-width:2.4}
.graph .edge.hot text{fill:var(--link);font-weight:600}
marker path{fill:var(--muted)}marker.hot path{fill:var(--link)}
.twin table{margin:.75rem 0 1rem}
.note{max-width:46em;padding-left:1rem;border-left:3px solid var(--warning)}
.item{margin:0 0 1.25rem 1.6rem}.item h4{display:flex;flex-wrap:wrap;align-items:center;gap:.25rem .6rem}.item p{max-width:50em;margin:.25rem 0}
td.accepted a{color:var(--muted);font-size:.8125rem}
.page{margin:-.5rem 0 1.5rem 1.6rem;font-size:.9375rem}
.page>summary{color:var(--muted);width:fit-content}
.page>:not(summary){max-width:50em}.page h4{margin-top:1.1rem}.page ul{padding-left:1.2rem}
.policies .state{margin:0 0 .75rem 1.6rem;color:var(--muted)}
.policy{margin:0 0 1.5rem 1.6rem}
.policy p{margin:.1rem 0 .5rem;font-size:.9375rem}
.policy pre+pre{margin-top:.35rem}
@media (max-width:40rem){
  .counts li{padding-left:.5rem}.word{font-size:.75rem}
  article,.item,.page,.reason,.policy,.policies .state{margin-left:0}
  .matrix{table-layout:fixed;width:46rem;min-width:0}.matrix thead th:first-child{width:10rem;min-width:0}.matrix thead th:not(:first-child){width:6rem}.matrix tbody th[scope=row]{min-width:0}
  .copy+.fix{padding-right:1rem;padding-top:3.1rem}
}
@media print{
  body{font-size:10pt}
  main{max-width:none;padding:0}
  nav,.skip,.copy,#filter{display:none!important}
  details::details-content{content-visibility:visible!important;height:auto!important;opacity:1}
  .many article{content-visibility:visible}
  article{break-inside:avoid}
  .policy,tr{break-inside:avoid}
  .scroll{overflow:visible}
  .wide{max-width:100%}
  .graph{max-width:100%;height:auto}
  .matrix{min-width:0}
  .copy+.fix{padding:.75rem 1rem;min-height:0}
  *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
`;
