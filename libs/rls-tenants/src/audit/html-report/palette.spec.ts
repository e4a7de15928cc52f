import { contrast, DARK, LIGHT, TEXT_ON } from './palette.js';

describe('the palette', () => {
  it('is measured as WCAG 2 does', () => {
    expect(contrast('#000000', '#ffffff')).toBeCloseTo(21);
    expect(contrast('#777777', '#ffffff')).toBeCloseTo(4.48, 2);
  });

  it.each([
    ['light', LIGHT],
    ['dark', DARK],
  ])('is legible in the %s scheme: 4.5 and more for every text on every background', (_name, palette) => {
    const illegible = TEXT_ON.map(([text, background]) => ({
      text,
      background,
      ratio: contrast(palette[text], palette[background]),
    })).filter(({ ratio }) => ratio < 4.5);
    expect(illegible).toEqual([]);
  });
});
