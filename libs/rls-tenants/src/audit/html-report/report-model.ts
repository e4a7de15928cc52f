import type { ReportedTable } from '../audit.js';
import { SEVERITIES, type Finding, type Severity } from '../finding.js';
import type { AcceptedFinding, JudgedReport } from '../report.js';
import { TIERS } from '../rule.js';

/** Where something that was found belongs. */
interface Place {
  /** Label of its row in the matrix. */
  readonly row: string;
  /** Index into {@link ReportModel.tiers}. */
  readonly tier: number;
}

/** A finding that counts, with its place in the report. */
export interface ReportFinding extends Finding, Place {
  /** Fragment of the page. */
  readonly anchor: string;
}

/** A line of the matrix: a table, or an object that belongs to none. */
export interface ReportRow {
  readonly label: string;
  /** Undefined for partitions and for what is no tenant table. */
  readonly table?: ReportedTable;
  /** Fragment of the table's policies. */
  readonly anchor?: string;
  /** It is a partition or child of the table above. */
  readonly partition: boolean;
  readonly findings: readonly ReportFinding[];
  /** Tiers in which something was found that a project's own decisions do not count. */
  readonly accepted: readonly Place[];
}

/** A column of the matrix. */
export interface ReportTier {
  readonly title: string;
  /** How many of its rules ran: with none, nothing found says nothing. */
  readonly ran: number;
}

/** A report in the order in which it is shown. */
export interface ReportModel {
  readonly report: JudgedReport;
  readonly tiers: readonly ReportTier[];
  readonly findings: readonly ReportFinding[];
  /** Tables that must be protected, each followed by its partitions about which something was found. */
  readonly tables: readonly ReportRow[];
  /** Views, functions, roles and whatever else something was found about. */
  readonly others: readonly ReportRow[];
}

/** Sorts the findings of a report into rows and tiers. Pure. */
export function modelOf(report: JudgedReport): ReportModel {
  const labels = new Set(report.tables.flatMap(({ table, partitions }) => [table, ...partitions]));
  const tiers = new Map([...report.rules, ...report.skipped].map(({ id, tier }) => [id, tier]));
  const placeOf = ({ object, ruleId }: Finding): Place => ({
    row: tableOf(object, labels) ?? object,
    tier: tiers.get(ruleId) ?? TIERS.length,
  });
  const findings = report.findings.map((finding, index): ReportFinding => {
    return { ...finding, ...placeOf(finding), anchor: `f${index + 1}` };
  });
  const found = byRow(findings);
  const accepted = byRow(report.accepted.map(({ finding }: AcceptedFinding) => placeOf(finding)));
  const rowOf = (label: string): ReportRow => ({
    label,
    partition: false,
    findings: found.get(label) ?? [],
    accepted: accepted.get(label) ?? [],
  });
  return {
    report,
    tiers: tiersOf(report, [...found.values(), ...accepted.values()].flat()),
    findings,
    tables: report.tables.flatMap((table, index): ReportRow[] => [
      { ...rowOf(table.table), table, anchor: `t${index + 1}` },
      ...table.partitions
        .filter((partition) => found.has(partition) || accepted.has(partition))
        .map((partition) => ({ ...rowOf(partition), partition: true })),
    ]),
    others: [...new Set([...found.keys(), ...accepted.keys()])]
      .filter((label) => !labels.has(label))
      .map(rowOf),
  };
}

/** The worst of some findings; undefined without any. */
export function worstOf(findings: readonly Finding[]): Severity | undefined {
  return SEVERITIES.find((severity) => findings.some((finding) => finding.severity === severity));
}

/** One more column holds what no rule of the report found, if there is such a thing. */
function tiersOf({ rules }: JudgedReport, places: readonly Place[]): ReportTier[] {
  const tiers = TIERS.map((title, index) => ({
    title: title as string,
    ran: rules.filter(({ tier }) => tier === index).length,
  }));
  return places.some(({ tier }) => tier === TIERS.length) ? [...tiers, { title: 'Other', ran: 0 }] : tiers;
}

/** The table that an object is or belongs to, such as `policy "p" on table "public.note"`: names hold any character. */
function tableOf(object: string, tables: ReadonlySet<string>): string | undefined {
  for (const { index } of object.matchAll(/(?<=^|\s)table "/g)) {
    const label = object.slice(index + 'table "'.length, -1);
    if (tables.has(label)) return label;
  }
  return undefined;
}

function byRow<Placed extends Place>(places: readonly Placed[]): Map<string, Placed[]> {
  const rows = new Map<string, Placed[]>();
  for (const place of places) {
    const row = rows.get(place.row);
    if (row) row.push(place);
    else rows.set(place.row, [place]);
  }
  return rows;
}
