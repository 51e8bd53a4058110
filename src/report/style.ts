/** @file The report's CSS: one column, light and dark, phones, paper. */
import { paletteCss } from '../figures/index.ts';

const LIGHT =
  '--cp-bg:#fff;--cp-ink:#1b1f24;--cp-soft:#57606a;--cp-line:#d5dae0;--cp-card:#f5f7f9;--cp-tok:#fde9a9;--cp-link:#0a58a5';
const DARK =
  '--cp-bg:#15181c;--cp-ink:#e6e8eb;--cp-soft:#a3abb5;--cp-line:#363c44;--cp-card:#1d2126;--cp-tok:#5c4a10;--cp-link:#7cc3ee';

/** Width in px of figures on wide and on narrow screens. */
export const WIDE = 860;
export const SLIM = 336;

export function css(): string {
  return `:root{color-scheme:light dark;${LIGHT}}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){${DARK}}}
:root[data-theme=dark]{color-scheme:dark;${DARK}}:root[data-theme=light]{color-scheme:light}
${paletteCss()}
*{box-sizing:border-box}
body{margin:0;background:var(--cp-bg);color:var(--cp-ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;overflow-wrap:anywhere}
main{max-width:1040px;margin:0 auto;padding:24px}p,.verdict,.example,nav{max-width:46rem}figcaption{max-width:44rem}
h1{font-size:1.9rem;line-height:1.2;margin:.2em 0}h2{font-size:1.45rem;margin:2.2em 0 .4em;padding-top:.6em;border-top:2px solid var(--cp-line)}
h3{font-size:1.15rem;margin:2em 0 .4em}h4{font-size:1rem;margin:0}.example h4{font-size:.9rem;margin:0 0 .4em}
a{color:var(--cp-link)}small,.soft{color:var(--cp-soft)}
.word{font-weight:700;font-size:1.35rem;line-height:1.2;margin:.1em 0}.verdict>div+div{border-top:1px solid var(--cp-line);margin-top:1em;padding-top:.4em}.claim{font-size:1.05rem;line-height:1.45;margin:.7em 0 .3em}.verdict ul{margin:.2em 0 1em;padding-left:1.2em;font-size:.97rem}.verdict li{margin:.25em 0}
.verdict{background:var(--cp-card);border-left:4px solid var(--cp-mapped);padding:.4em 1.2em;margin:1.2em 0;border-radius:0 6px 6px 0;font-size:1.05rem}
nav{max-width:none}nav ul{list-style:none;padding:0;margin:.2em 0;font-size:.92rem}nav li{margin:.3em 0}nav li ul{display:flex;flex-wrap:wrap;gap:0 1.1em;font-size:.88rem}
figure{margin:1.6em 0;break-inside:avoid}figcaption{font-size:.88rem;color:var(--cp-soft);margin:.2em 0 .8em}figcaption h4{color:var(--cp-ink)}
figure svg{display:block;max-width:100%;height:auto}.slim{display:none}figure text{white-space:pre}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,336px),1fr));gap:.4em 2em}.grid figure{min-width:0}
.data{font-size:.82rem;margin-top:.3em}.data a{margin-right:1em}
.cap{font-size:.88rem;font-weight:600;margin:1.2em 0 .2em}.scroll{overflow-x:auto;margin:0 0 1.2em}table{border-collapse:collapse;font-size:.84rem;font-variant-numeric:tabular-nums;min-width:100%}
th,td{padding:.28em .7em .28em 0;text-align:right;vertical-align:top;border-bottom:1px solid var(--cp-line);overflow-wrap:normal;white-space:nowrap}
thead th{white-space:normal;vertical-align:bottom;min-width:4.5em;color:var(--cp-soft);font-weight:600}th:first-child{text-align:left}tbody th{font-weight:400}td small{display:block;font-size:.9em}
abbr{text-decoration:underline dotted;text-underline-offset:3px;cursor:help}details{margin:1em 0}summary{cursor:pointer;color:var(--cp-link)}
.example{background:var(--cp-card);border-radius:6px;padding:.8em 1em;margin:1em 0;break-inside:avoid}
.prompt{white-space:pre-wrap;margin:.2em 0 .8em;font:.85rem/1.45 ui-monospace,Menlo,Consolas,monospace}
.tok{background:var(--cp-tok);color:inherit;border-radius:2px;outline:1px solid var(--cp-line)}ins{text-decoration:underline wavy var(--cp-mapped);text-underline-offset:3px;font-weight:600}
dl{margin:0}dl>div{display:grid;grid-template-columns:14em 1fr;gap:.8em;padding:.25em 0;border-top:1px solid var(--cp-line)}dt{font-size:.82rem;color:var(--cp-soft)}dd{margin:0;font-size:.9rem;white-space:pre-wrap;unicode-bidi:isolate}
.badge{display:block;font-size:.76rem}.all{font-size:.82rem;padding-left:1.2em}.all ul{padding-left:1em}.arm{color:var(--cp-soft)}
pre{background:var(--cp-card);padding:.8em;border-radius:6px;font-size:.78rem;white-space:pre-wrap;overflow-wrap:anywhere}
:focus-visible{outline:2px solid var(--cp-link);outline-offset:2px}
@media screen and (max-width:640px){main{padding:16px}.wide{display:none!important}.slim{display:block!important}dl>div{grid-template-columns:1fr;gap:0}h1{font-size:1.5rem}}
@page{margin:14mm}@media print{:root:root:root{color-scheme:light;${LIGHT}}${paletteCss(':root:root:root').split('@media')[0]}
body{font-size:10.5pt}main{padding:0;max-width:none}nav,.data{display:none}.scroll{overflow:visible}table{font-size:7.5pt}.example{break-inside:auto}.example h4,.prompt{break-after:avoid}dl>div{break-inside:avoid}#manifest details::details-content{content-visibility:visible;block-size:auto}h2{break-before:page}h3,h4{break-after:avoid}a{color:inherit;text-decoration:none}}`;
}
