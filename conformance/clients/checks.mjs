// One line for each check, and a summary: "ok NAME", "FAIL NAME: reason".
let passed = 0, failed = 0

const say = (line) => console.log(line.replace(/\s+/g, ' ').slice(0, 900))

export async function check(name, body) {
  try {
    await body()
    passed++
    say(`ok ${name}`)
  } catch (error) {
    failed++
    const where = error.stack?.split('\n').find((l) => /\.mjs:\d+/.test(l) && !l.includes('checks.mjs'))?.match(/\w+\.mjs:\d+/)?.[0] ?? ''
    say(`FAIL ${name}: ${error.name}: ${error.message} [${where}]`)
  }
}

export function end() {
  say(`summary: ${passed} ok, ${failed} failed, 0 skipped`)
  process.exitCode = failed || !passed ? 1 : 0
}

export function equal(got, want, what = 'value') {
  if (got !== want) throw new Error(`${what} is ${JSON.stringify(got)}, want ${JSON.stringify(want)}`)
}

export function yes(condition, what) {
  if (!condition) throw new Error(what)
}

// fails awaits the promise and returns its error, which must have the name.
export async function fails(name, promise) {
  try {
    await promise
  } catch (error) {
    equal(error.name, name, 'error')
    return error
  }
  throw new Error(`no ${name}`)
}
