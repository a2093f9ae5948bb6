// @ts-check
// What programs call: functions of numbers, and of arrays whose rows of n numbers stand one after another.

const ROOT_PI = Math.sqrt(Math.PI);

/** exp(x²) erf(x), by its series. @param {number} x */
function series(x) {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) sum += term *= (2 * x * x) / (2 * n + 1);
  return (2 / ROOT_PI) * sum;
}
/** exp(x²) erfc(x): by a series near zero, else by Laplace's continued fraction. @param {number} x @returns {number} */
function erfcx(x) {
  if (x < 0) return 2 * Math.exp(x * x) - erfcx(-x);
  if (x < 2.2) return Math.exp(x * x) - series(x);
  let fraction = 0;
  for (let n = x < 4 ? 130 : 50; n > 0; n--) fraction = n / 2 / (x + fraction);
  return 1 / (ROOT_PI * (x + fraction));
}
/** @param {number} x @returns {number} */
const erfc = (x) => (x < 0 ? 2 - erfc(-x) : x > 27.3 ? 0 : Math.exp(-x * x) * erfcx(x));

/** @param {number} x */
const erf = (x) => (Math.abs(x) < 1 ? Math.exp(-x * x) * series(x) : 1 - erfc(x));

/** The inverse of the standard normal's distribution function: a rational guess, then Halley's steps on the tail. @param {number} p */
function ndtri(p) {
  if (!(p > 0 && p < 1)) return p === 0 ? -Infinity : p === 1 ? Infinity : NaN;
  const upper = p > 0.5;
  const tail = upper ? 1 - p : p;
  const t = Math.sqrt(-2 * Math.log(tail));
  let x = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (let k = 0; k < 5; k++) {
    // In units of the density at x, so that nothing vanishes far out.
    const error = Math.sqrt(Math.PI / 2) * erfcx(x / Math.SQRT2) - tail * Math.sqrt(2 * Math.PI) * Math.exp((x * x) / 2);
    const step = error / (1 + (x * error) / 2);
    x += step;
    if (Math.abs(step) < 1e-15 * Math.abs(x)) break;
  }
  return upper ? x : -x;
}

/** @typedef {Float64Array | Float32Array | Int32Array | Uint8Array | number[]} Numbers */

// One number for each row: f(x, from, to) -> number.
/** @param {(x: Numbers, from: number, to: number, more: number) => number} f */
const fold = (f) => (/** @type {Numbers} */ x, /** @type {Numbers} */ out, /** @type {number} */ n, more = 1) => {
  for (let row = 0; row < out.length; row++) out[row] = f(x, row * n, row * n + n, more);
};
// As many numbers as there are in each row: f(x, out, from, to).
/** @param {(x: Numbers, out: Numbers, from: number, to: number) => void} f */
const scan = (f) => (/** @type {Numbers} */ x, /** @type {Numbers} */ out, /** @type {number} */ n) => {
  for (let from = 0; from < x.length; from += n) f(x, out, from, from + n);
};
/** @param {Numbers} x @param {number} from @param {number} to @param {number} sign @returns {number} */
function extreme(x, from, to, sign) {
  let at = from;
  for (let k = from; k < to; k++) if (sign * x[k] > sign * x[at] || (x[k] !== x[k] && x[at] === x[at])) at = k;
  return at;
}
/** @param {Numbers} x @param {number} from @param {number} to @param {number} top */
function logsumexp(x, from, to, top = x[extreme(x, from, to, 1)]) {
  let sum = 0;
  for (let k = from; k < to; k++) sum += Math.exp(x[k] - top);
  return top + Math.log(sum);
}
/** @param {Numbers} x @param {number} from @param {number} to @param {number} correction */
function variance(x, from, to, correction) {
  let mean = 0;
  for (let k = from; k < to; k++) mean += x[k];
  mean /= to - from;
  let sum = 0;
  for (let k = from; k < to; k++) sum += (x[k] - mean) ** 2;
  return sum / Math.max(to - from - correction, 0);
}
/** @param {number} sign */
const running = (sign) => (/** @type {Numbers} */ x, /** @type {Numbers} */ out, /** @type {Numbers} */ places, /** @type {number} */ n) => {
  for (let from = 0; from < x.length; from += n) {
    let at = from;
    for (let k = from; k < from + n; k++) {
      if (sign * x[k] >= sign * x[at] || x[k] !== x[k]) at = k;
      out[k] = x[at];
      places[k] = at - from;
    }
  }
};
/** @param {number} sign */
const extremeWith = (sign) => (/** @type {Numbers} */ x, /** @type {Numbers} */ out, /** @type {Numbers} */ places, /** @type {number} */ n) => {
  for (let row = 0; row < out.length; row++) {
    const at = extreme(x, row * n, row * n + n, sign);
    out[row] = x[at];
    places[row] = at - row * n;
  }
};

/** Gauss's elimination in place, of a (n, n) and m columns b (n, m). @param {Float64Array} a @param {Float64Array | null} b @param {number} n @param {number} m @returns {[number, number]} the sign and the logarithm of |det a| */
function eliminate(a, b, n, m) {
  let sign = 1;
  let log = 0;
  for (let c = 0; c < n; c++) {
    let pivot = c;
    for (let r = c + 1; r < n; r++) if (Math.abs(a[r * n + c]) > Math.abs(a[pivot * n + c])) pivot = r;
    if (pivot !== c) {
      sign = -sign;
      for (let k = 0; k < n; k++) [a[c * n + k], a[pivot * n + k]] = [a[pivot * n + k], a[c * n + k]];
      for (let k = 0; b && k < m; k++) [b[c * m + k], b[pivot * m + k]] = [b[pivot * m + k], b[c * m + k]];
    }
    const value = a[c * n + c];
    sign *= Math.sign(value);
    log += Math.log(Math.abs(value));
    if (!value) continue;
    for (let r = c + 1; r < n; r++) {
      const factor = a[r * n + c] / value;
      for (let k = c; k < n; k++) a[r * n + k] -= factor * a[c * n + k];
      for (let k = 0; b && k < m; k++) b[r * m + k] -= factor * b[c * m + k];
    }
  }
  return [sign, log];
}
/** Solve a x = b for each of several matrices. @param {Numbers} a @param {Numbers} b @param {Numbers} out @param {number} n @param {number} m */
function solve(a, b, out, n, m) {
  for (let g = 0; g < out.length / (n * m); g++) {
    const left = Float64Array.from(a.slice(g * n * n, (g + 1) * n * n));
    const right = Float64Array.from(b.slice(g * n * m, (g + 1) * n * m));
    eliminate(left, right, n, m);
    for (let r = n - 1; r >= 0; r--) {
      for (let k = 0; k < m; k++) {
        let sum = right[r * m + k];
        for (let c = r + 1; c < n; c++) sum -= left[r * n + c] * right[c * m + k];
        right[r * m + k] = sum / left[r * n + r];
      }
    }
    for (let k = 0; k < n * m; k++) out[g * n * m + k] = right[k];
  }
}

export const H = {
  erf, erfc, erfcx, ndtri, solve,
  max: (/** @type {number} */ a, /** @type {number} */ b) => (a > b || a !== a ? a : b),
  min: (/** @type {number} */ a, /** @type {number} */ b) => (a < b || a !== a ? a : b),
  mod(/** @type {number} */ a, /** @type {number} */ b) {
    const rest = a % b;
    return rest && rest < 0 !== b < 0 ? rest + b : rest;
  },
  floorDiv: (/** @type {number} */ a, /** @type {number} */ b) => (b ? Math.round((a - H.mod(a, b)) / b) : a / b),
  at: (/** @type {number} */ k, /** @type {number} */ n) => (k < 0 ? k + n : k),
  square: (/** @type {number} */ x) => x * x,
  softplus: (/** @type {number} */ x) => (x > 36 ? x : Math.log1p(Math.exp(x))),
  logaddexp: (/** @type {number} */ a, /** @type {number} */ b) => (a === b ? a + Math.LN2 : Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)))),
  siluSlope(/** @type {number} */ x) {
    const part = 1 / (1 + Math.exp(-x));
    return part * (1 + x * (1 - part));
  },
  xlogy: (/** @type {number} */ x, /** @type {number} */ y) => (x === 0 ? 0 : x * Math.log(y)),
  logit: (/** @type {number} */ p) => Math.log(p / (1 - p)),
  copysign: (/** @type {number} */ a, /** @type {number} */ b) => (b < 0 || Object.is(b, -0) ? -Math.abs(a) : Math.abs(a)),
  round(/** @type {number} */ x) {
    const whole = Math.round(x); // of two that are as near, the upper one
    return whole - x === 0.5 && whole % 2 ? whole - 1 : whole;
  },
  argmax: fold((x, from, to) => extreme(x, from, to, 1) - from),
  argmin: fold((x, from, to) => extreme(x, from, to, -1) - from),
  logsumexp: fold((x, from, to) => { const top = x[extreme(x, from, to, 1)]; return Number.isFinite(top) ? logsumexp(x, from, to, top) : top; }),
  variance: fold(variance),
  std: fold((x, from, to, correction) => Math.sqrt(variance(x, from, to, correction))),
  amaxWith: extremeWith(1),
  aminWith: extremeWith(-1),
  cummax: running(1),
  cummin: running(-1),
  cumsum: scan((x, out, from, to) => { let sum = 0; for (let k = from; k < to; k++) out[k] = sum += x[k]; }),
  cumprod: scan((x, out, from, to) => { let product = 1; for (let k = from; k < to; k++) out[k] = product *= x[k]; }),
  logcumsumexp: scan((x, out, from, to) => { for (let k = from; k < to; k++) out[k] = k === from ? x[k] : H.logaddexp(out[k - 1], x[k]); }),
  softmax: scan((x, out, from, to) => { const all = logsumexp(x, from, to); for (let k = from; k < to; k++) out[k] = Math.exp(x[k] - all); }),
  logSoftmax: scan((x, out, from, to) => { const all = logsumexp(x, from, to); for (let k = from; k < to; k++) out[k] = x[k] - all; }),
  /** @param {Numbers} x @param {Numbers} out @param {Numbers} places @param {number} n @param {boolean} falling */
  sort(x, out, places, n, falling) {
    for (let from = 0; from < x.length; from += n) {
      const order = Array.from({ length: n }, (_, k) => k).sort((a, b) => (falling ? x[from + b] - x[from + a] : x[from + a] - x[from + b]) || a - b);
      order.forEach((k, at) => { out[from + at] = x[from + k]; places[from + at] = k; });
    }
  },
  /** Where numbers belong among edges (rows of n); `each` of them for each row, or 0: all for the only row. @param {Numbers} edges @param {Numbers} x @param {Numbers} out @param {number} n @param {number} each @param {boolean} right */
  search(edges, x, out, n, each, right) {
    for (let k = 0; k < out.length; k++) {
      const from = each ? Math.floor(k / each) * n : 0;
      let low = 0;
      let high = n;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (right ? edges[from + middle] <= x[k] : edges[from + middle] < x[k]) low = middle + 1;
        else high = middle;
      }
      out[k] = low;
    }
  },
  /** @param {Numbers} a @param {Numbers} b @param {Numbers} out */
  dot(a, b, out) { let sum = 0; for (let k = 0; k < a.length; k++) sum += a[k] * b[k]; out[0] = sum; },
  /** @param {Numbers} a @param {Numbers} signs @param {Numbers} logs @param {number} n */
  slogdet(a, signs, logs, n) {
    for (let g = 0; g < signs.length; g++) [signs[g], logs[g]] = eliminate(Float64Array.from(a.slice(g * n * n, (g + 1) * n * n)), null, n, 0);
  },
  /** @param {Numbers} a @param {Numbers} out @param {number} n */
  det(a, out, n) {
    for (let g = 0; g < out.length; g++) {
      const left = Float64Array.from(a.slice(g * n * n, (g + 1) * n * n));
      const [sign] = eliminate(left, null, n, 0);
      let product = Math.sign(sign) && 1;
      for (let k = 0; k < n; k++) product *= Math.abs(left[k * n + k]);
      out[g] = sign * product;
    }
  },
  /** @param {Numbers} a @param {Numbers} out @param {number} n */
  inverse(a, out, n) {
    const one = new Float64Array(out.length);
    for (let k = 0; k < out.length / n; k++) one[k * n + (k % n)] = 1;
    solve(a, one, out, n, n);
  },
};
