// How the player looks. Colours are custom properties, so that a page can change them.

export const STYLE = `
:host {
  --slipstream-accent: #35d0ba;
  --slipstream-live: #ff4d5e;
  --slipstream-text: #f2f5f7;
  --slipstream-dim: #9fb0bd;
  --slipstream-panel: rgb(10 14 18 / 82%);
  display: block; position: relative; overflow: hidden; aspect-ratio: 16 / 9;
  background: #000; color: var(--slipstream-text);
  font: 14px/1.4 system-ui, "Segoe UI", Roboto, sans-serif; user-select: none; -webkit-user-select: none;
}
:host([hidden]) { display: none; }
:host(:focus) { outline: none; }
:host(:focus-visible) { outline: 2px solid var(--slipstream-accent); outline-offset: 2px; }
video { display: block; width: 100%; height: 100%; object-fit: contain; background: #000; }
button, select { font: inherit; color: inherit; background: none; border: 0; cursor: pointer; }
button { display: inline-flex; align-items: center; justify-content: center; gap: 6px; padding: 6px; border-radius: 8px; }
button:hover, select:hover { background: rgb(255 255 255 / 14%); }
button:focus-visible, select:focus-visible { outline: 2px solid var(--slipstream-accent); }
svg { width: 22px; height: 22px; fill: currentColor; display: block; }
[hidden] { display: none !important; }

.bar {
  position: absolute; inset: auto 0 0 0; display: flex; align-items: center; gap: 4px; padding: 28px 10px 8px;
  background: linear-gradient(transparent, rgb(0 0 0 / 55%) 40%, rgb(0 0 0 / 85%)); text-shadow: 0 0 4px #000; transition: opacity .25s;
}
.bar .space { flex: 1; }
:host(.idle) .bar { opacity: 0; pointer-events: none; }
:host(.idle) { cursor: none; }
.live { font-weight: 600; font-size: 12px; letter-spacing: .06em; padding: 4px 9px; color: var(--slipstream-dim); }
.live::before { content: ""; width: 8px; height: 8px; border-radius: 50%; background: currentColor; }
.live.on { color: var(--slipstream-text); }
.live.on::before { background: var(--slipstream-live); box-shadow: 0 0 8px var(--slipstream-live); }
.share {
  color: var(--slipstream-accent); font-size: 12px; padding: 4px 8px; font-variant-numeric: tabular-nums;
  min-width: 0; overflow: hidden; white-space: nowrap; text-overflow: ellipsis;
}
input[type="range"] { flex: 4; min-width: 60px; accent-color: var(--slipstream-accent); cursor: pointer; }
select { padding: 5px 4px; border-radius: 8px; font-size: 13px; }
select option { color: #111; background: #fff; }

.middle { position: absolute; inset: 0; display: grid; place-items: center; pointer-events: none; }
.middle > * { grid-area: 1 / 1; }
.big { pointer-events: auto; width: 76px; height: 76px; border-radius: 50%; background: var(--slipstream-panel); }
.big:hover { background: var(--slipstream-accent); color: #04211d; }
.big svg { width: 38px; height: 38px; }
.spinner {
  width: 44px; height: 44px; border-radius: 50%; border: 3px solid rgb(255 255 255 / 22%);
  border-top-color: var(--slipstream-accent); animation: spin 1s linear infinite;
}
@keyframes spin { to { transform: rotate(1turn); } }
@media (prefers-reduced-motion: reduce) { .spinner { animation-duration: 4s; } .bar { transition: none; } }
.notice {
  max-width: min(80%, 34em); padding: 14px 18px; border-radius: 12px; background: var(--slipstream-panel);
  text-align: center; text-wrap: balance; user-select: text; -webkit-user-select: text; pointer-events: auto;
}
.unmute {
  position: absolute; top: 12px; left: 12px; padding: 8px 14px 8px 10px; font-weight: 600;
  background: var(--slipstream-text); color: #0b0f13;
}
.unmute:hover { background: var(--slipstream-accent); }

.stats {
  position: absolute; top: 12px; right: 12px; max-height: calc(100% - 80px); overflow: auto; box-sizing: border-box;
  padding: 10px 14px 12px; border-radius: 12px; background: var(--slipstream-panel); font-size: 12px;
  font-variant-numeric: tabular-nums; user-select: text; -webkit-user-select: text;
  backdrop-filter: blur(6px); -webkit-backdrop-filter: blur(6px);
}
.stats h2 { margin: 0 0 6px; font-size: 12px; font-weight: 600; color: var(--slipstream-accent); }
.stats dl { display: grid; grid-template-columns: auto auto; gap: 2px 16px; margin: 0; }
.stats dt { color: var(--slipstream-dim); }
.stats dd { margin: 0; text-align: right; }
.stats .shares { display: flex; height: 6px; margin: 8px 0; border-radius: 3px; overflow: hidden; background: #39454f; }
.stats .shares i { background: var(--slipstream-accent); transition: width .4s; }
.stats .id { max-width: 24em; margin: 8px 0 0; color: var(--slipstream-dim); overflow-wrap: anywhere; }
`;
