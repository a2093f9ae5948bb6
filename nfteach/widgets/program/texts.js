// @ts-check
// Numbers in words, as Python writes them.

/** Whether x lies just between two decimals of so many digits: Python takes the even one. @param {string} digits @param {number} after */
const isTie = (digits, after) => /^50*$/.test(digits.slice(after));

/** @param {number} x @param {number} digits */
function decimal(x, digits) {
  if (Math.abs(x) >= 1e21) return `${BigInt(x)}${digits ? `.${"0".repeat(digits)}` : ""}`;
  const text = x.toFixed(digits);
  const scaled = Math.abs(x) * 10 ** digits * 2;
  if (!(scaled < 1e12 && Math.abs(scaled - Math.round(scaled)) < 1e-6)) return text;
  const exact = Math.abs(x).toFixed(Math.min(digits + 40, 100));
  const point = exact.indexOf(".") + 1;
  if (!isTie(exact.slice(point), digits)) return text;
  const down = exact.slice(0, digits ? point + digits : point - 1);
  return Number(down.at(-1)) % 2 ? text : (x < 0 ? "-" : "") + down;
}
/** @param {number} x @param {number} digits */
function power(x, digits) {
  let text = x.toExponential(digits);
  const exact = Math.abs(x).toExponential(Math.min(digits + 40, 100));
  const [mantissa, exponent] = exact.split("e");
  if (x && isTie(mantissa.slice(2), digits)) {
    const down = mantissa.slice(0, digits ? 2 + digits : 1);
    if (Number(down.at(-1)) % 2 === 0) text = `${x < 0 ? "-" : ""}${down}e${exponent}`;
  }
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}
/** @param {string} text */
const withoutZeros = (text) => text.replace(/\.(\d*?)0+(?=e|$)/, (_, kept) => kept && `.${kept}`);

/** f"{x:spec}". @param {number} x @param {string} spec @returns {string} */
export function format(x, spec) {
  const [, sign, digits, kind] = /** @type {RegExpMatchArray} */ (spec.match(/^([+ ]?)(?:\.(\d+))?([fegd%]?)$/));
  if (sign && !(x < 0 || Object.is(x, -0))) return sign + format(x, spec.slice(1));
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  const minus = Object.is(x, -0) ? "-" : "";
  const many = digits === undefined ? 6 : Number(digits);
  if (kind === "f") return minus + decimal(x, many);
  if (kind === "e") return minus + power(x, many);
  if (kind === "%") return `${minus + decimal(x * 100, many)}%`;
  if (kind === "g") {
    const precision = many || 1;
    const rounded = power(x, precision - 1);
    const exponent = Number(rounded.split("e")[1]);
    return minus + withoutZeros(exponent < -4 || exponent >= precision ? rounded : decimal(x, precision - 1 - exponent));
  }
  return String(x);
}

/** @param {string} text */
const typeset = (text) => (Number(text) === 0 ? text.replace(/^-/, "") : text).replaceAll("-", "\u2212");
/** @param {number} x @param {number} digits @param {number} low @param {number} high */
const fixed = (x, digits = 2, low = 0, high = 100) => typeset(x === 0 || (low <= Math.abs(x) && Math.abs(x) < high) ? format(x, `.${digits}f`) : format(x, ".1e"));

/** The functions of nfteach.jacobian.numbers and nfteach.widgets.stage.packing, by their names. @type {Record<string, (x: any, ...details: any[]) => string>} */
export const TEXTS = {
  format, fixed,
  bracketed(x, digits) {
    const text = fixed(x, digits);
    return text.startsWith("\u2212") ? `(${text})` : text;
  },
  added(x, digits) {
    const text = fixed(x, digits);
    return text.startsWith("\u2212") ? ` \u2212 ${text.slice(1)}` : ` + ${text}`;
  },
  pick: (index, ...texts) => texts[Number(index)],
  written(x, digits) {
    if (!Number.isFinite(x)) return Number.isNaN(x) ? "not a number" : x > 0 ? "infinite" : "\u2212infinite";
    const size = Math.abs(x);
    if (size < 0.5 * 10 ** -digits && size < 1e-9) return format(0, `.${digits}f`);
    return (size < 1e5 && size >= 0.5 * 10 ** -digits ? format(x, `.${digits}f`) : format(x, ".1e")).replaceAll("-", "\u2212");
  },
};
