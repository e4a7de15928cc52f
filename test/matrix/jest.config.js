import base from '../../jest.config.js';

/** The suites as ever, on the packages of a cell (MATRIX_PACKAGES). */
export default { ...base, rootDir: '../..', resolver: '<rootDir>/test/matrix/resolver.cjs' };
