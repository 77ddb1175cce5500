// Runs a dashboard's queries against Prometheus, as Grafana's data source does, and makes data frames of the answers.
import { FieldType, standardTransformers, standardTransformersRegistry, toDataFrame, transformDataFrame } from '@grafana/data';
import { firstValueFrom } from 'rxjs';

const byId = new Map(Object.values(standardTransformers).map((t) => [t.id, t])); // some are exported twice
standardTransformersRegistry.setInit(() =>
  [...byId.values()].map((t) => ({ id: t.id, name: t.name, transformation: async () => t, editor: () => null }))
);

export class Source {
  constructor({ url, start, end, step, variables }) {
    this.waiting = 0; // for answers
    Object.assign(this, { url, start, end, step, variables });
  }

  filled(expr) {
    return expr.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_, a, b) => this.variables[a ?? b]);
  }

  async ask(path, parameters) {
    this.waiting++;
    const answer = await (await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`)).json();
    this.waiting--;
    if (answer.status !== 'success') throw new Error(`${parameters.query}: ${answer.error}`);
    return answer.data.result;
  }

  instant(expr) {
    return this.ask('query', { query: this.filled(expr), time: this.end });
  }

  range(expr) {
    return this.ask('query_range', { query: this.filled(expr), start: this.start, end: this.end, step: this.step });
  }

  get grid() {
    return Array.from({ length: Math.floor((this.end - this.start) / this.step) + 1 }, (_, i) => this.start + i * this.step);
  }
}

export const named = (legend, labels) =>
  legend === '__auto' ? Object.entries(labels).map(([k, v]) => `${k}="${v}"`).join(', ') || 'Value'
    : legend.replace(/\{\{(\w+)\}\}/g, (_, label) => labels[label] ?? '');

// One frame with a field for each series, on one grid of times: null where there is no sample.
export async function series(source, panel) {
  const fields = [{ name: 'Time', type: FieldType.time, values: source.grid.map((t) => t * 1000) }];
  for (const target of panel.targets) {
    for (const one of await source.range(target.expr)) {
      const at = new Map(one.values.map(([t, v]) => [Math.round(t), Number(v)]));
      const values = source.grid.map((t) => (Number.isFinite(at.get(Math.round(t))) ? at.get(Math.round(t)) : null));
      fields.push({ name: named(target.legendFormat, one.metric), type: FieldType.number, labels: one.metric, values });
    }
  }
  return fields;
}

// The rows of a table, and (where it asks for a range) of a state timeline; through the panel's own transformations.
export async function transformed(source, panel) {
  const [target] = panel.targets;
  const found = target.instant
    ? (await source.instant(target.expr)).map((s) => ({ ...s, values: [s.value] }))
    : await source.range(target.expr);
  const rows = found.flatMap((s) => s.values.map(([t, v]) => ({ ...s.metric, Time: t * 1000, Value: Number(v) })));
  rows.sort((a, b) => a.Time - b.Time);
  const labels = [...new Set(found.flatMap((s) => Object.keys(s.metric)))];
  const column = (name, type) => ({ name, type, config: {}, values: rows.map((row) => row[name] ?? '') });
  const frame = toDataFrame({
    refId: target.refId,
    fields: [column('Time', FieldType.time), ...labels.map((l) => column(l, FieldType.string)), column('Value', FieldType.number)],
  });
  return firstValueFrom(transformDataFrame(panel.transformations ?? [], [frame]));
}
