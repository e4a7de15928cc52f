// Resolves the packages of a cell's set from where the set is installed, whoever asks for them.
const { join, sep } = require('node:path');

const ROOT = join(__dirname, '../..');
const home = process.env.MATRIX_PACKAGES;
const replaced = home ? new Set(Object.keys(require(join(home, 'package.json')).dependencies)) : new Set();
const workspaceNest = join(ROOT, 'node_modules/@nestjs') + sep;

module.exports = (request, options) => {
  const [scope, name] = request.split('/', 2);
  const inSet = replaced.has(scope.startsWith('@') ? `${scope}/${name}` : scope);
  const basedir = inSet && !options.basedir.startsWith(home + sep) ? home : options.basedir;
  const path = options.defaultResolver(request, { ...options, basedir });
  // Two versions of NestJS in one run would prove nothing of either.
  if (replaced.has('@nestjs/core') && path.startsWith(workspaceNest)) {
    throw new Error(`The set of packages has no ${request}; ${options.basedir} would get the workspace's.`);
  }
  return path;
};
