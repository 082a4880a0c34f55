/** The program's own version, as in package.json (a test keeps them equal), and the Istio release it speaks like. */
export const VERSION = '0.1.0';
export const ISTIO_VERSION = '1.30.0';
