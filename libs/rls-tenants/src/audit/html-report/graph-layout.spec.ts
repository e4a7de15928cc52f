import { layOut, type GraphEdge, type GraphNode, type PlacedGraph } from './graph-layout.js';

const node = (id: string): GraphNode => ({ id, width: 60 + id.length * 8, height: 46 });
const edge = (text: string): GraphEdge => {
  const [from, to] = text.split('>') as [string, string];
  return { from, to, labelWidth: 90 };
};
const nodesOf = (...edges: string[]) => [...new Set(edges.flatMap((text) => text.split('>')))].map(node);
const placed = (...edges: string[]) => layOut(nodesOf(...edges), edges.map(edge));
type Graph = PlacedGraph<GraphNode, GraphEdge>;

const boxesOf = ({ nodes }: Graph) =>
  nodes.map((one) => ({ name: one.node.id, x: one.x, y: one.y, width: one.node.width, height: one.height }));
const labelsOf = ({ edges }: Graph) =>
  edges.map(({ edge: { from, to, labelWidth }, label }) => {
    return {
      name: `${from}>${to}`,
      x: label.x - labelWidth / 2,
      y: label.y - 16,
      width: labelWidth,
      height: 16,
    };
  });
const overlaps = (boxes: readonly ReturnType<typeof boxesOf>[number][]) =>
  boxes.flatMap((a, at) =>
    boxes
      .slice(at + 1)
      .filter(
        (b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height,
      )
      .map((b) => `${a.name} and ${b.name}`),
  );
/** Whether the horizontal parts of an arrow that crosses layers run through a box. */
const crossed = (graph: Graph) =>
  graph.edges.flatMap(({ edge: { from, to }, path }) => {
    const lines = [...path.matchAll(/C[\d.-]+ [\d.-]+ [\d.-]+ [\d.-]+ ([\d.-]+) ([\d.-]+)(?:H([\d.-]+))+/g)];
    return boxesOf(graph)
      .filter(({ name }) => name !== from && name !== to)
      .filter(({ x, y, width, height }) =>
        lines.some(
          ([, start, at, end]) =>
            Number(at) > y && Number(at) < y + height && Number(start) < x + width && Number(end) > x,
        ),
      )
      .map(({ name }) => `${from}>${to} through ${name}`);
  });

describe('layOut', () => {
  it('puts every role to the right of its members, however long the way', () => {
    const graph = placed('a>b', 'b>c', 'c>d', 'a>d', 'x>d');
    const x = new Map(graph.nodes.map((one) => [one.node.id, one.x]));
    for (const {
      edge: { from, to },
    } of graph.edges)
      expect(x.get(from)!).toBeLessThan(x.get(to)!);
    expect(graph.edges).toHaveLength(5);
    // Nothing is further away than it has to be.
    expect(x.get('x')).toBe(x.get('c'));
  });

  it.each([
    ['one role', []],
    ['the demo', ['app>admin', 'migrator>admin']],
    ['a chain with a shortcut', ['a>b', 'b>c', 'c>d', 'd>e', 'a>e', 'b>e']],
    [
      'twelve roles',
      'ada>dev bob>dev dev>ops ops>owner ops>dba deploy>owner deploy>app app>admin app>reader reader>support support>billing owner>admin'.split(
        ' ',
      ),
    ],
    ['many members of one role', Array.from({ length: 20 }, (_, index) => `login${index}>group`)],
    ['one member of many roles', Array.from({ length: 20 }, (_, index) => `login>group${index}`)],
    ['all of all', ['a', 'b', 'c', 'd'].flatMap((from) => ['w', 'x', 'y', 'z'].map((to) => `${from}>${to}`))],
  ])('no box and no label is over another, and no arrow runs through a box: %s', (_name, edges) => {
    const graph = layOut([...nodesOf(...edges), node('postgres')], edges.map(edge));
    const boxes = boxesOf(graph);
    expect(boxes.length).toBeGreaterThan(0);
    expect(overlaps([...boxes, ...labelsOf(graph)])).toEqual([]);
    expect(crossed(graph)).toEqual([]);
    for (const { x, y, width, height } of boxes) {
      expect(Math.min(x, y)).toBeGreaterThanOrEqual(0);
      expect(x + width).toBeLessThanOrEqual(graph.width);
      expect(y + height).toBeLessThanOrEqual(graph.height);
    }
  });

  it('orders boxes so that arrows do not cross where they need not', () => {
    const graph = placed('a>z', 'b>y', 'c>x');
    const y = new Map(graph.nodes.map((one) => [one.node.id, one.y]));
    const order = (ids: string[]) => [...ids].sort((a, b) => y.get(a)! - y.get(b)!).join('');
    expect(['abc zyx', 'cba xyz', 'bac yzx', 'acb zxy', 'cab xzy', 'bca yxz']).toContain(
      `${order(['a', 'b', 'c'])} ${order(['x', 'y', 'z'])}`,
    );
  });

  it('ends where roles are members of each other, which PostgreSQL refuses', () => {
    expect(placed('a>b', 'b>a').nodes).toHaveLength(2);
  });
});
