export {
  describeProbe,
  probeIsolation,
  type ProbeMode,
  type ProbeOptions,
  type ProbeReport,
} from './probe.js';
export type { Inconclusive, Probed } from './probe-log.js';
export { PROBE_RULES, type ProbeRule } from './probe-rules.js';
