// Draws one dashboard from its committed JSON with Grafana's own components and the data of a real Prometheus.
// State timelines and heatmaps are not in @grafana/ui; they are drawn here, from the same fields and mappings.
import { createRoot } from 'react-dom/client';
import { useEffect, useState } from 'react';
import { createTheme, FieldType, getDisplayProcessor, ThemeContext, toDataFrame } from '@grafana/data';
import { BigValue, PanelChrome, Table, TimeSeries } from '@grafana/ui';
import { dateTime } from '@grafana/data';
import { named, series, Source, transformed } from './queries.js';

const theme = createTheme({ colors: { mode: 'light' } });
const COLUMN = 60, ROW = 30, GAP = 8;
const parameters = new URLSearchParams(location.search);

function configured(panel, field, index) {
  const defaults = panel.fieldConfig.defaults;
  const config = { ...defaults, custom: { ...defaults.custom }, mappings: defaults.mappings ?? [] };
  for (const { matcher, properties } of panel.fieldConfig.overrides) {
    if (!new RegExp(matcher.options.slice(1, -1)).test(field.name)) continue;
    for (const { id, value } of properties) {
      if (id.startsWith('custom.')) config.custom[id.slice(7)] = value;
      else config[id] = value;
    }
  }
  const made = { ...field, config: { ...field.config, ...config, displayName: field.type === FieldType.number ? field.name : undefined }, state: { seriesIndex: index } };
  made.display = getDisplayProcessor({ field: made, theme });
  return made;
}

function Lines({ panel, source, width, height }) {
  const [fields, set] = useState(null);
  useEffect(() => { series(source, panel).then(set); }, []);
  if (!fields) return null;
  if (fields.length === 1) return <Nothing />;
  const frame = { ...toDataFrame({ fields: [] }), length: fields[0].values.length,
    fields: fields.map((f, i) => configured(panel, { ...f, config: {} }, i - 1)) };
  const timeRange = { from: dateTime(source.start * 1000), to: dateTime(source.end * 1000) };
  timeRange.raw = timeRange;
  return <TimeSeries frames={[frame]} structureRev={1} width={width} height={height} timeRange={timeRange} timeZone="utc" theme={theme}
    legend={panel.options.legend} options={{}} />;
}

function Figure({ panel, source, width, height }) {
  const [found, set] = useState(null);
  useEffect(() => { source.instant(panel.targets[0].expr).then(set); }, []);
  if (!found) return null;
  if (!found.length) return <Nothing />;
  const field = configured(panel, { name: 'Value', type: FieldType.number, config: {}, values: [] }, 0);
  const value = field.display(Number(found[0].value[1]));
  const shown = panel.options.textMode === 'name' ? { ...value, text: named(panel.targets[0].legendFormat, found[0].metric), suffix: '' } : value;
  return <BigValue value={shown} width={width} height={height} theme={theme} colorMode={panel.options.colorMode} graphMode="none" textMode="value" />;
}

function Rows({ panel, source, width, height }) {
  const [frames, set] = useState(null);
  useEffect(() => { transformed(source, panel).then(set); }, []);
  if (!frames) return null;
  const [frame] = frames;
  if (!frame || !frame.length) return <Nothing />;
  const widths = (f) => Object.fromEntries(panel.fieldConfig.overrides.filter(({ matcher }) => matcher.options === (f.config.displayName ?? f.name))
    .flatMap(({ properties }) => properties.map(({ id, value }) => [id.replace('custom.', ''), value])));
  frame.fields.forEach((f, i) => { f.config = { ...f.config, ...(f.type === FieldType.number ? panel.fieldConfig.defaults : {}), custom: { ...panel.fieldConfig.defaults.custom, ...widths(f) } };
    f.display = getDisplayProcessor({ field: f, theme }); f.state = {}; });
  return <Table data={frame} width={width - 16} height={height} columnMinWidth={90} />;
}

function axis(source, width, left) {
  const hours = (source.end - source.start) / 3600;
  const every = hours <= 1 ? 1 / 6 : hours <= 30 ? 3 : 24;
  const first = Math.ceil(source.start / (every * 3600)) * every * 3600;
  const marks = [];
  for (let t = first; t < source.end; t += every * 3600) marks.push(t);
  const x = (t) => left + ((t - source.start) / (source.end - source.start)) * (width - left);
  return { x, marks };
}

function Axis({ marks, x, y }) {
  return marks.map((t) => <text key={t} x={x(t)} y={y} fontSize="11" fill="#555" textAnchor="middle">{new Date(t * 1000).toISOString().slice(11, 16)}</text>);
}

function States({ panel, source, width, height }) {
  const [frames, set] = useState(null);
  useEffect(() => { transformed(source, panel).then(set); }, []);
  if (!frames) return null;
  const [frame] = frames;
  const time = frame?.fields.find((f) => f.type === FieldType.time);
  if (!time) return <Nothing />;
  const rows = frame.fields.filter((f) => f !== time).map((f, i) => configured(panel, f, i));
  const left = 110, { x, marks } = axis(source, width, left);
  const tall = (height - 20) / rows.length;
  return <svg width={width} height={height}>
    {rows.map((field, r) => {
      const runs = [];
      field.values.forEach((value, i) => {
        const t = time.values[i] / 1000, last = runs.at(-1);
        if (value == null || value === '') return;
        if (last && last.value === value && t - last.to <= source.step * 1.5) last.to = t;
        else runs.push({ value, from: t, to: t });
      });
      return <g key={field.name}>
        <text x={left - 6} y={r * tall + tall / 2 + 4} fontSize="12" fill="#333" textAnchor="end">{field.name}</text>
        {runs.map((run) => { const shown = field.display(run.value); const w = x(run.to + source.step) - x(run.from);
          return <g key={run.from}><rect x={x(run.from)} y={r * tall + tall * 0.08} width={Math.max(1, Math.min(w, width - x(run.from)))} height={tall * 0.85} fill={shown.color} fillOpacity="0.8" />
            {w > 30 && <text x={x(run.from) + 5} y={r * tall + tall / 2 + 4} fontSize="12" fill="#fff">{shown.text}</text>}</g>; })}
      </g>; })}
    <Axis marks={marks} x={x} y={height - 4} />
  </svg>;
}

function Heat({ panel, source, width, height }) {
  const [found, set] = useState(null);
  useEffect(() => { source.range(panel.targets[0].expr).then(set); }, []);
  if (!found) return null;
  const rows = found.map((s) => ({ le: Number(s.metric.le.replace('+Inf', 'Infinity')), text: s.metric.le, at: new Map(s.values.map(([t, v]) => [Math.round(t), Number(v)])) }));
  rows.sort((a, b) => a.le - b.le);
  const cells = rows.map((row, r) => source.grid.map((t) => (row.at.get(t) ?? 0) - (r ? rows[r - 1].at.get(t) ?? 0 : 0)));
  const most = Math.max(...cells.flat());
  const left = 44, { x, marks } = axis(source, width, left), tall = (height - 20) / rows.length;
  const w = x(source.start + source.step) - x(source.start);
  return <svg width={width} height={height}>
    {cells.map((row, r) => row.map((v, i) => v > 0 && <rect key={`${r} ${i}`} x={x(source.grid[i])} y={(rows.length - 1 - r) * tall} width={w} height={tall - 1}
      fill={`hsl(${36 - 24 * Math.sqrt(v / most)} 95% ${95 - 55 * Math.sqrt(v / most)}%)`} />))}
    {rows.map((row, r) => <text key={row.text} x={left - 5} y={(rows.length - 1 - r) * tall + tall / 2 + 4} fontSize="11" fill="#555" textAnchor="end">{row.text}</text>)}
    <Axis marks={marks} x={x} y={height - 4} />
  </svg>;
}

const Nothing = () => <div style={{ color: '#999', textAlign: 'center', paddingTop: 30 }}>No data</div>;
const KINDS = { timeseries: Lines, stat: Figure, table: Rows, 'state-timeline': States, heatmap: Heat };

function Board({ board, source }) {
  const bottom = Math.max(...board.panels.map((p) => p.gridPos.y + p.gridPos.h));
  return <div style={{ position: 'relative', width: 24 * COLUMN + GAP, height: bottom * ROW + 50 + GAP }}>
    <h2 style={{ margin: 0, padding: '12px 12px 6px', fontSize: 18 }}>{board.title}</h2>
    {board.panels.map((panel) => {
      const { x, y, w, h } = panel.gridPos;
      const style = { position: 'absolute', left: x * COLUMN + GAP, top: y * ROW + 44 };
      if (panel.type === 'row') return <div key={panel.id} style={{ ...style, fontWeight: 600, paddingTop: 5 }}>{panel.title.replace(/\$(\w+)/g, (_, v) => source.variables[v])}</div>;
      const Kind = KINDS[panel.type];
      return <div key={panel.id} style={style}>
        <PanelChrome title={panel.title} description={panel.description} width={w * COLUMN - GAP} height={h * ROW - GAP} padding="sm">
          {(width, height) => <Kind panel={panel} source={source} width={width} height={height} />}
        </PanelChrome>
      </div>;
    })}
  </div>;
}

const board = await (await fetch(`boards/${parameters.get('board')}.json`)).json();
const source = new Source(JSON.parse(parameters.get('source')));
createRoot(document.getElementById('root')).render(
  <ThemeContext.Provider value={theme}><Board board={board} source={source} /></ThemeContext.Provider>
);
let quiet = 0; // seconds without a question to Prometheus: by then what was answered is drawn
setInterval(() => { quiet = source.waiting ? 0 : quiet + 1; if (quiet === 4) document.title = 'drawn'; }, 1000);
