/**
 * Names of container images: registry, repository, and a tag or a digest.
 * Source: the distribution specification; Docker's defaults (Docker Hub, `library/`, `latest`), as istio's go-containerregistry has them.
 */
import { fail, ok, type Result } from '#base/result.ts';

export interface ImageReference {
  /** Host, and port where there is one. */
  readonly registry: string;
  readonly repository: string;
  /** A tag, or `sha256:…`. */
  readonly reference: string;
}

/** Of URLs that name images. */
export const OCI_SCHEME = 'oci://';
/** Docker Hub under the name that its API answers to. */
export const DOCKER_HUB = 'index.docker.io';

const MAX_CHARACTERS = 1_024;
const REPOSITORY = /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^sha256:[a-f0-9]{64}$/;
const REGISTRY = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?$/;

/** Reads `[registry/]repository[:tag][@digest]`. Errors: a text for people. */
export function parseImageReference(text: string): Result<ImageReference, string> {
  if (text.length > MAX_CHARACTERS) return fail('the image name is too long');
  const [named = '', digest, ...more] = text.split('@');
  const slash = named.indexOf('/');
  const first = slash < 0 ? '' : named.slice(0, slash);
  const hasRegistry = /[.:]/.test(first) || first === 'localhost';
  const registry = hasRegistry ? dockerHubName(first) : DOCKER_HUB;
  const rest = hasRegistry ? named.slice(slash + 1) : named;
  const colon = rest.lastIndexOf(':');
  const path = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? 'latest' : rest.slice(colon + 1);
  const repository = registry === DOCKER_HUB && !path.includes('/') ? `library/${path}` : path;
  const isValid =
    more.length === 0 &&
    REGISTRY.test(registry) &&
    REPOSITORY.test(repository) &&
    TAG.test(tag) &&
    (digest === undefined || DIGEST.test(digest));
  return isValid
    ? ok({ registry, repository, reference: digest ?? tag })
    : fail(`"${text}" is not the name of an image`);
}

function dockerHubName(registry: string): string {
  return registry === 'docker.io' || registry === 'registry-1.docker.io' ? DOCKER_HUB : registry;
}

/** The digest in hex; '' for a tag. */
export function digestHex({ reference }: ImageReference): string {
  return DIGEST.test(reference) ? reference.slice('sha256:'.length) : '';
}
