import type { Family } from './attack.js';
import { downgrading } from './downgrading.js';
import { forging } from './forging.js';
import { leftBehind } from './left-behind.js';
import { midStatement } from './mid-statement.js';
import { oracles } from './oracles.js';
import { readingSeals } from './reading-seals.js';
import { replaying } from './replaying.js';
import { shadowing } from './shadowing.js';

export const FAMILIES: readonly Family[] = [
  { letter: 'F', name: 'Forging', attacks: forging },
  { letter: 'M', name: 'In the middle of a statement', attacks: midStatement },
  { letter: 'R', name: 'Replaying', attacks: replaying },
  { letter: 'D', name: 'Downgrading', attacks: downgrading },
  { letter: 'H', name: 'Shadowing', attacks: shadowing },
  { letter: 'S', name: "Reading others' seals and the keys", attacks: readingSeals },
  { letter: 'L', name: 'Leaving something for the next request', attacks: leftBehind },
  { letter: 'O', name: 'Oracles', attacks: oracles },
];

export const ATTACKS = FAMILIES.flatMap(({ attacks }) => attacks);
