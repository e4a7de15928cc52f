// Resolves the packages of a cell's set from where the set is installed, whoever asks for them.
const { join, sep } = require('node:path');

const ROOT = join(__dirname, '../..');
const home = process.env.MATRIX_PACKAGES;
const replaced = new Set(home ? Object.keys(require(join(home, 'package.json')).dependencies) : []);
// What the set's packages share with the application: two copies of rxjs would not know each other's Observables.
const shared = new Set(
  [...replaced].flatMap((name) =>
    Object.keys(require(join(home, 'node_modules', name, 'package.json')).peerDependencies ?? {}),
  ),
);
const workspaceNest = join(ROOT, 'node_modules/@nestjs') + sep;

module.exports = (request, options) => {
  const [scope, name] = request.split('/', 2);
  const asked = scope.startsWith('@') ? `${scope}/${name}` : scope;
  const inside = home !== undefined && options.basedir.startsWith(home + sep);
  let { basedir } = options;
  if (replaced.has(asked)) basedir = inside ? basedir : home;
  else if (inside && shared.has(asked)) basedir = ROOT;
  const path = options.defaultResolver(request, { ...options, basedir });
  // Two versions of NestJS in one run would prove nothing of either.
  if (replaced.has('@nestjs/core') && path.startsWith(workspaceNest)) {
    throw new Error(`The set of packages has no ${request}; ${options.basedir} would get the workspace's.`);
  }
  return path;
};
