/** Product numbers as they stand in the paths of details, reviews and ratings. */

/** Parses a product number; undefined when the text is not a plain decimal number. */
export function parseProductId(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
