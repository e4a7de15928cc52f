/** A box to place. */
export interface GraphNode {
  readonly id: string;
  readonly width: number;
  /** At least; a box grows with the arrows that end at it. */
  readonly height: number;
}

/** An arrow to draw, from left to right. */
export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  /** Length of its horizontal end, where its label stands. */
  readonly labelWidth: number;
}

/** A box with its place: the upper left corner. */
export interface PlacedNode<Node> {
  readonly node: Node;
  readonly x: number;
  readonly y: number;
  readonly height: number;
}

/** An arrow with its way. */
export interface PlacedEdge<Edge> {
  readonly edge: Edge;
  /** `d` of an SVG path; it ends horizontally. */
  readonly path: string;
  /** Middle of the horizontal end, where a label has room that no box and no other label takes. */
  readonly label: { readonly x: number; readonly y: number };
}

/** Everything placed within `width` × `height`. */
export interface PlacedGraph<Node, Edge> {
  readonly nodes: readonly PlacedNode<Node>[];
  readonly edges: readonly PlacedEdge<Edge>[];
  readonly width: number;
  readonly height: number;
}

const CURVE = 40;
const NODE_GAP = 18;
const PORT = 19;

/** A box, or the place where a long arrow crosses a layer. */
interface Cell {
  readonly node: number | undefined;
  readonly layer: number;
  readonly width: number;
  readonly height: number;
  readonly before: Link[];
  readonly after: Link[];
  center: number;
}

/** A part of an arrow between two neighbouring layers. */
interface Link {
  readonly from: Cell;
  readonly to: Cell;
}

/**
 * Draws a graph in layers: every arrow leads to a layer further right, long ones through gaps between boxes; boxes are
 * ordered so that few arrows cross, and each arrow has an end of its own, so that labels do not overlap. An arrow that
 * would close a circle is left out; role memberships never do.
 */
export function layOut<Node extends GraphNode, Edge extends GraphEdge>(
  nodes: readonly Node[],
  edges: readonly Edge[],
): PlacedGraph<Node, Edge> {
  const index = new Map(nodes.map(({ id }, position) => [id, position]));
  const layerOf = layersOf(nodes, edges);
  const counts = new Map<string, number>();
  for (const { from, to } of edges) {
    counts.set(`out ${from}`, (counts.get(`out ${from}`) ?? 0) + 1);
    counts.set(`in ${to}`, (counts.get(`in ${to}`) ?? 0) + 1);
  }
  const cells = nodes.map((node, position): Cell => {
    const ports = Math.max(counts.get(`out ${node.id}`) ?? 0, counts.get(`in ${node.id}`) ?? 0);
    return cell(position, layerOf[position]!, node.width, Math.max(node.height, (ports + 0.5) * PORT));
  });
  const layers: Cell[][] = [];
  for (const one of cells) (layers[one.layer] ??= []).push(one);
  const chains = edges.flatMap((edge) => {
    const from = cells[index.get(edge.from)!]!;
    const to = cells[index.get(edge.to)!]!;
    return from.layer < to.layer ? [{ edge, links: connect(from, to, layers) }] : [];
  });
  order(layers);
  const height = settle(layers);
  const labels = layers.map((_, layer) =>
    Math.max(0, ...chains.map(({ edge, links }) => (links.at(-1)!.to.layer === layer ? edge.labelWidth : 0))),
  );
  const columns = columnsOf(layers, labels);
  return {
    nodes: cells.map((one, position) => ({
      node: nodes[position]!,
      x: columns[one.layer]!.x,
      y: one.center - one.height / 2,
      height: one.height,
    })),
    edges: chains.map(({ edge, links }) => ({ edge, ...route(links, columns, edge.labelWidth) })),
    width: Math.max(0, ...columns.map(({ x, width }) => x + width)),
    height,
  };
}

function cell(node: number | undefined, layer: number, width: number, height: number): Cell {
  return { node, layer, width, height, before: [], after: [], center: 0 };
}

/** Longest way from a box without arrows to it; then such boxes move right, to the first one they lead to. */
function layersOf(nodes: readonly GraphNode[], edges: readonly GraphEdge[]): number[] {
  const layers = new Map<string, number>();
  const into = groupBy(edges, ({ to }) => to);
  const depth = (id: string, path: ReadonlySet<string>): number => {
    const known = layers.get(id);
    if (known !== undefined) return known;
    const before = (into.get(id) ?? []).filter(({ from }) => !path.has(from));
    const found = Math.max(0, ...before.map(({ from }) => depth(from, new Set([...path, from])) + 1));
    layers.set(id, found);
    return found;
  };
  for (const { id } of nodes) depth(id, new Set([id]));
  const outOf = groupBy(edges, ({ from }) => from);
  return nodes.map(({ id }) => {
    const targets = (outOf.get(id) ?? []).map(({ to }) => layers.get(to)!);
    return into.has(id) || targets.length === 0 ? layers.get(id)! : Math.max(0, Math.min(...targets) - 1);
  });
}

/** Links two boxes, with a cell in each layer in between. */
function connect(from: Cell, to: Cell, layers: Cell[][]): Link[] {
  const links: Link[] = [];
  let last = from;
  for (let layer = from.layer + 1; layer <= to.layer; layer++) {
    const next = layer === to.layer ? to : cell(undefined, layer, 0, PORT);
    if (next !== to) layers[layer]!.push(next);
    const link = { from: last, to: next };
    last.after.push(link);
    next.before.push(link);
    links.push(link);
    last = next;
  }
  return links;
}

/** Barycentre heuristic of Sugiyama: to and fro, the best order kept. */
function order(layers: Cell[][]): void {
  let best = layers.map((layer) => [...layer]);
  let fewest = crossings(layers);
  for (let sweep = 0; sweep < 12 && fewest > 0; sweep++) {
    const forward = sweep % 2 === 0;
    const indices = layers.map((_, index) => index);
    for (const index of forward ? indices : indices.toReversed()) {
      const neighbours = ({ before, after }: Cell) =>
        forward ? before.map(({ from }) => from) : after.map(({ to }) => to);
      const positions = new Map((layers[index + (forward ? -1 : 1)] ?? []).map((one, at) => [one, at]));
      const keys = new Map(
        layers[index]!.map((one, at) => {
          const found = neighbours(one).map((other) => positions.get(other) ?? 0);
          return [one, found.length === 0 ? at : mean(found)];
        }),
      );
      layers[index]!.sort((a, b) => keys.get(a)! - keys.get(b)!);
    }
    const now = crossings(layers);
    if (now >= fewest) continue;
    fewest = now;
    best = layers.map((layer) => [...layer]);
  }
  layers.splice(0, layers.length, ...best);
}

function crossings(layers: readonly (readonly Cell[])[]): number {
  const positions = new Map(layers.flatMap((layer) => layer.map((one, at) => [one, at] as const)));
  let count = 0;
  for (const layer of layers) {
    const links = layer
      .flatMap(({ after }) => after)
      .map(({ from, to }) => [positions.get(from)!, positions.get(to)!] as const);
    for (const [a, b] of links) for (const [c, d] of links) if (a < c && b > d) count++;
  }
  return count;
}

/** Moves every cell as near to its neighbours as order and distances allow. Returns the height of everything. */
function settle(layers: readonly (readonly Cell[])[]): number {
  for (const layer of layers) pack(layer, () => 0);
  for (let sweep = 0; sweep < 8; sweep++) {
    const ordered = sweep % 2 === 0 ? layers : layers.toReversed();
    for (const layer of ordered) {
      pack(layer, ({ before, after, center }) => {
        const others = [...before.map(({ from }) => from.center), ...after.map(({ to }) => to.center)];
        return others.length === 0 ? center : mean(others);
      });
    }
  }
  const all = layers.flat();
  const top = Math.min(...all.map(({ center, height }) => center - height / 2));
  for (const one of all) one.center -= top;
  return Math.max(0, ...all.map(({ center, height }) => center + height / 2));
}

/** Least squares under "each below the one before it": pooled adjacent violators. */
function pack(layer: readonly Cell[], wanted: (cell: Cell) => number): void {
  let offset = 0;
  const offsets = layer.map((one, at) => {
    const above = layer[at - 1];
    if (above) offset += above.height / 2 + NODE_GAP + one.height / 2;
    return offset;
  });
  const pools: { sum: number; count: number }[] = [];
  layer.forEach((one, at) => {
    let pool = { sum: wanted(one) - offsets[at]!, count: 1 };
    for (
      let last = pools.at(-1);
      last && last.sum / last.count > pool.sum / pool.count;
      last = pools.at(-1)
    ) {
      pool = { sum: pool.sum + last.sum, count: pool.count + last.count };
      pools.pop();
    }
    pools.push(pool);
  });
  const centers = pools.flatMap(({ sum, count }) => Array.from({ length: count }, () => sum / count));
  layer.forEach((one, at) => (one.center = centers[at]! + offsets[at]!));
}

interface Column {
  readonly x: number;
  readonly width: number;
}

/** @param labels the room in front of each layer. */
function columnsOf(layers: readonly (readonly Cell[])[], labels: readonly number[]): Column[] {
  let x = 0;
  return layers.map((layer, index) => {
    const column = { x, width: Math.max(...layer.map(({ width }) => width)) };
    x += column.width + CURVE + (labels[index + 1] ?? 0);
    return column;
  });
}

function route(
  links: readonly Link[],
  columns: readonly Column[],
  labelWidth: number,
): Omit<PlacedEdge<never>, 'edge'> {
  const first = links[0]!.from;
  const parts = [`M${round(columns[first.layer]!.x + first.width)} ${round(leaves(links[0]!))}`];
  let end = { x: 0, y: 0 };
  for (const link of links) {
    const { from, to } = link;
    const column = columns[from.layer]!;
    const start = { x: column.x + column.width, y: leaves(link) };
    end = { x: columns[to.layer]!.x, y: arrives(link) };
    const turn = start.x + CURVE / 2;
    parts.push(
      `H${round(start.x)}`,
      `C${round(turn)} ${round(start.y)} ${round(turn)} ${round(end.y)} ${round(start.x + CURVE)} ${round(end.y)}`,
      `H${round(end.x)}`,
    );
  }
  return { path: parts.join(''), label: { x: round(end.x - labelWidth / 2), y: round(end.y) } };
}

/** Where a link leaves its cell: links to what is further up leave further up. */
function leaves(link: Link): number {
  return port(
    link.from,
    [...link.from.after].sort((a, b) => a.to.center - b.to.center),
    link,
  );
}

function arrives(link: Link): number {
  return port(
    link.to,
    [...link.to.before].sort((a, b) => a.from.center - b.from.center),
    link,
  );
}

function port({ center }: Cell, links: readonly Link[], link: Link): number {
  return center + (links.indexOf(link) - (links.length - 1) / 2) * PORT;
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

function round(number: number): number {
  return Math.round(number * 10) / 10;
}
