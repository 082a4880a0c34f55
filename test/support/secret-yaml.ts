/** Secrets for tests, as users write them. */

/** A Secret as YAML; values are written as they are. */
export function secretYaml(
  name: string,
  values: Readonly<Record<string, string>>,
  {
    namespace = 'istio-system',
    type = 'Opaque',
  }: { readonly namespace?: string; readonly type?: string } = {},
): string {
  const data = Object.entries(values).map(
    ([key, value]) => `  ${key}: ${Buffer.from(value).toString('base64')}`,
  );
  const head = `apiVersion: v1\nkind: Secret\nmetadata: {name: ${name}, namespace: ${namespace}}\ntype: ${type}\n`;
  return `${head}data:\n${data.join('\n')}\n`;
}
