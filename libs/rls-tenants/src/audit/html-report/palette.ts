/** The colours of one scheme. Every text colour is legible on every background it stands on; see the spec. */
export interface Palette {
  readonly page: string;
  readonly panel: string;
  readonly code: string;
  readonly line: string;
  readonly text: string;
  readonly muted: string;
  readonly link: string;
  readonly critical: string;
  readonly criticalTint: string;
  readonly error: string;
  readonly errorTint: string;
  readonly warning: string;
  readonly warningTint: string;
  readonly info: string;
  readonly infoTint: string;
  readonly clean: string;
  readonly keyword: string;
  readonly string: string;
}

/** Warm paper and ink. */
export const LIGHT: Palette = {
  page: '#fbfaf7',
  panel: '#ffffff',
  code: '#f4f2ec',
  line: '#dedad0',
  text: '#1d1c1a',
  muted: '#5f5b53',
  link: '#1f4f86',
  critical: '#8e0f2e',
  criticalTint: '#fae3e6',
  error: '#a33205',
  errorTint: '#fdeadd',
  warning: '#755100',
  warningTint: '#faf0cf',
  info: '#265a86',
  infoTint: '#e5eff7',
  clean: '#2c6647',
  keyword: '#5b3a8c',
  string: '#6a4a10',
};

/** The same, at night. */
export const DARK: Palette = {
  page: '#161614',
  panel: '#1e1e1b',
  code: '#262622',
  line: '#3a3933',
  text: '#eceae3',
  muted: '#aaa69a',
  link: '#8fbdf0',
  critical: '#ff9aa9',
  criticalTint: '#47181f',
  error: '#ffac80',
  errorTint: '#43230f',
  warning: '#edc55a',
  warningTint: '#382d0e',
  info: '#95c4ee',
  infoTint: '#182d40',
  clean: '#85c9a2',
  keyword: '#c6a8f2',
  string: '#dfbd7e',
};

/** Which colours stand on which as text: all that the style sheet combines. */
export const TEXT_ON: readonly (readonly [text: keyof Palette, background: keyof Palette])[] = [
  ...(['page', 'panel', 'code'] as const).flatMap((background) =>
    (['text', 'muted', 'link', 'critical', 'error', 'warning', 'info', 'clean'] as const).map(
      (text) => [text, background] as const,
    ),
  ),
  ['keyword', 'code'],
  ['string', 'code'],
  ['critical', 'criticalTint'],
  ['error', 'errorTint'],
  ['warning', 'warningTint'],
  ['info', 'infoTint'],
  ['text', 'criticalTint'],
  ['text', 'errorTint'],
  ['text', 'warningTint'],
  ['text', 'infoTint'],
];

/** WCAG 2's contrast ratio of two colours in `#rrggbb`: 1 to 21; 4.5 is what body text needs (level AA). */
export function contrast(one: string, other: string): number {
  const [darker, lighter] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(color: string): number {
  const [red, green, blue] = [1, 3, 5].map((start) => {
    const channel = Number.parseInt(color.slice(start, start + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
