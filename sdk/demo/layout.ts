/** Where something is, in CSS pixels from the top left corner of the stage. */
export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A size in CSS pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** How tiles may look. Aspects are width ÷ height. */
export interface TileStyle {
  readonly gap: number;
  readonly minAspect: number;
  readonly maxAspect: number;
}

/** Tiles may be a little narrower than the usual camera picture; on upright windows square, and many of them upright. */
export function tileStyle(stage: Size, gap: number, count: number): TileStyle {
  const upright = count > 2 ? 3 / 4 : 1;
  return { gap, minAspect: stage.width < stage.height ? upright : 4 / 3, maxAspect: 16 / 9 };
}

/**
 * Arranges equal tiles in rows so that they are as large as possible: of all
 * numbers of columns, the one with the largest tile area; of equal ones, the one
 * that leaves the fewest places empty. The whole is centred, and so is the last row.
 */
export function arrange(count: number, stage: Size, style: TileStyle): Rect[] {
  if (count <= 0 || stage.width <= 0 || stage.height <= 0) return [];
  let best = fit(count, 1, stage, style);
  for (let columns = 2; columns <= count; columns++) {
    const candidate = fit(count, columns, stage, style);
    const gain = area(candidate) - area(best);
    if (gain > 0.5 || (gain > -0.5 && candidate.columns * candidate.rows < best.columns * best.rows)) best = candidate;
  }
  return place(count, best, stage, style.gap);
}

/**
 * Arranges one large tile, for a shared screen, and the others in a strip: at the
 * right of wide windows, below in upright ones. The strip is no wider than its
 * tiles; the large tile, which comes first, gets the rest.
 */
export function arrangeFocus(others: number, stage: Size, style: TileStyle): Rect[] {
  if (stage.width <= 0 || stage.height <= 0) return [];
  if (others === 0) return [{ x: 0, y: 0, ...stage }];
  if (stage.width >= stage.height) {
    const most = Math.min(Math.max(stage.width * 0.22, 140), stage.width * 0.4);
    const tiles = arrange(others, { width: most, height: stage.height }, style);
    const left = Math.min(...tiles.map((t) => t.x));
    const used = most - 2 * left;
    const large = { x: 0, y: 0, width: stage.width - used - style.gap, height: stage.height };
    return [large, ...tiles.map((t) => ({ ...t, x: t.x - left + stage.width - used }))];
  }
  const most = stage.height * (others > 2 ? 0.45 : 0.32) - style.gap;
  const tiles = arrange(others, { width: stage.width, height: most }, style);
  const top = Math.min(...tiles.map((t) => t.y));
  const used = most - 2 * top;
  const large = { x: 0, y: 0, width: stage.width, height: stage.height - used - style.gap };
  return [large, ...tiles.map((t) => ({ ...t, y: t.y - top + stage.height - used }))];
}

interface Fit extends Size {
  readonly columns: number;
  readonly rows: number;
}

function fit(count: number, columns: number, stage: Size, style: TileStyle): Fit {
  const rows = Math.ceil(count / columns);
  let width = Math.max(0, (stage.width - style.gap * (columns - 1)) / columns);
  let height = Math.max(0, (stage.height - style.gap * (rows - 1)) / rows);
  if (width > height * style.maxAspect) width = height * style.maxAspect;
  if (width < height * style.minAspect) height = width / style.minAspect;
  return { columns, rows, width, height };
}

function area(size: Size): number {
  return size.width * size.height;
}

function place(count: number, tile: Fit, stage: Size, gap: number): Rect[] {
  const top = (stage.height - tile.rows * tile.height - (tile.rows - 1) * gap) / 2;
  return Array.from({ length: count }, (_, i) => {
    const row = Math.floor(i / tile.columns);
    const inRow = Math.min(tile.columns, count - row * tile.columns);
    const left = (stage.width - inRow * tile.width - (inRow - 1) * gap) / 2;
    return {
      x: left + (i % tile.columns) * (tile.width + gap), y: top + row * (tile.height + gap),
      width: tile.width, height: tile.height,
    };
  });
}
