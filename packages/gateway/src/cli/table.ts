/** Tables for people. */

/** Columns padded to their widest cell, two blanks apart, one line a row; columns of numbers are right-aligned. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => String(row[column] ?? "").length)),
  );
  const cells = (row: readonly (string | number)[]) =>
    row.map((cell, column) => {
      const width = widths[column] ?? 0;
      const numeric = rows.every((each) => /^[\d.]*$/.test(String(each[column] ?? "")));
      return numeric ? String(cell).padStart(width) : String(cell).padEnd(width);
    });
  return [header, ...rows].map((row) => `${cells(row).join("  ").trimEnd()}\n`).join("");
}
